"""The codes that simulated records carry. A test holds them against the shipped code list."""

from typing import Final, NamedTuple

SNOMED: Final = "http://snomed.info/sct"
DMD: Final = "https://dmd.nhs.uk"
BNF: Final = "https://www.nhsbsa.nhs.uk/bnf"
STAND_IN: Final = "urn:peerview:cluster"


class Code(NamedTuple):
    system: str
    code: str
    display: str


HYPERTENSION: Final = Code(SNOMED, "59621000", "Essential hypertension")
DIABETES: Final = Code(SNOMED, "44054006", "Diabetes mellitus type 2")
ATRIAL_FIBRILLATION: Final = Code(SNOMED, "49436004", "Atrial fibrillation")
HEART_DISEASE: Final = Code(SNOMED, "414545008", "Ischaemic heart disease")
STROKE: Final = Code(SNOMED, "116288000", "Paralytic stroke")
TIA: Final = Code(SNOMED, "266257000", "Transient ischaemic attack")
COPD: Final = Code(SNOMED, "13645005", "Chronic obstructive pulmonary disease")
MODERATE_FRAILTY: Final = Code(SNOMED, "925831000000107", "Moderate frailty")

BP_PANEL: Final = Code(SNOMED, "75367002", "Blood pressure")
SYSTOLIC: Final = Code(SNOMED, "72313002", "Systolic arterial pressure")
DIASTOLIC: Final = Code(SNOMED, "1091811000000102", "Diastolic arterial pressure")
HOME_SYSTOLIC: Final = Code(SNOMED, "413606001", "Average home systolic blood pressure")
HOME_DIASTOLIC: Final = Code(SNOMED, "413605002", "Average home diastolic blood pressure")
HBA1C: Final = Code(SNOMED, "999791000000106", "Haemoglobin A1c level - IFCC standardised")
CHADSVASC: Final = Code(SNOMED, "735259005", "CHA2DS2-VASc score")

HYPERTENSION_INVITE: Final = Code(SNOMED, "310427004", "Hypertension monitoring invitation")
DIABETES_INVITE: Final = Code(SNOMED, "310425007", "Diabetes monitoring invitation")
HYPERTENSION_DECLINED: Final = Code(SNOMED, "413123006", "Blood pressure procedure refused")
COPD_REVIEW: Final = Code(SNOMED, "760621000000103", "COPD annual review")
COPD_EXACERBATIONS: Final = Code(SNOMED, "723245007", "Number of COPD exacerbations in past year")
BREATHLESSNESS: Final = Code(SNOMED, "391123006", "MRC Breathlessness Scale: grade 2")
SMEAR: Final = Code(SNOMED, "269957009", "Cervical smear result")
NO_CERVIX: Final = Code(STAND_IN, "NOCX_COD", "No cervix")
MMR: Final = Code(SNOMED, "38598009", "Measles, mumps and rubella vaccination")
OBJECTION: Final = Code(STAND_IN, "TYPE1DISSENT_COD", "Type 1 objection")

APIXABAN: Final = Code(DMD, "19842211000001107", "Apixaban 5mg tablets")
WARFARIN: Final = Code(DMD, "319733000", "Warfarin 1mg tablets")
ATORVASTATIN: Final = Code(BNF, "0212000B0AAABAB", "Atorvastatin 20mg tablets")
NAPROXEN: Final = Code(DMD, "329925006", "Naproxen 250mg tablets")
OMEPRAZOLE: Final = Code(DMD, "317335000", "Omeprazole 20mg capsules")
CO_AMOXICLAV: Final = Code(BNF, "0501013K0AAAJAJ", "Co-amoxiclav 500mg/125mg tablets")

LISTED: Final = (
    HYPERTENSION, DIABETES, ATRIAL_FIBRILLATION, HEART_DISEASE, STROKE, TIA, COPD,
    MODERATE_FRAILTY, BP_PANEL, SYSTOLIC, DIASTOLIC, HOME_SYSTOLIC, HOME_DIASTOLIC, HBA1C,
    CHADSVASC, HYPERTENSION_INVITE, DIABETES_INVITE, HYPERTENSION_DECLINED, COPD_REVIEW,
    COPD_EXACERBATIONS, BREATHLESSNESS, SMEAR, NO_CERVIX, MMR, OBJECTION, APIXABAN, WARFARIN,
    ATORVASTATIN, NAPROXEN, OMEPRAZOLE, CO_AMOXICLAV,
)  # fmt: skip

NOISE_CONDITIONS: Final = (
    Code(SNOMED, "195967001", "Asthma"),
    Code(SNOMED, "35489007", "Depressive disorder"),
    Code(SNOMED, "24079001", "Atopic dermatitis"),
    Code(SNOMED, "279039007", "Low back pain"),
)
NOISE_READINGS: Final = (
    Code(SNOMED, "60621009", "Body mass index"),
    Code(SNOMED, "27113001", "Body weight"),
    Code(SNOMED, "1000731000000107", "Serum creatinine level"),
)
NOISE_MEDICINES: Final = (
    Code(BNF, "0407010H0AAAMAM", "Paracetamol 500mg tablets"),
    Code(BNF, "0501013B0AAABAB", "Amoxicillin 500mg capsules"),
    Code(BNF, "0601022B0AAABAB", "Metformin 500mg tablets"),
    Code(BNF, "0301011R0AAAPAP", "Salbutamol 100micrograms/dose inhaler"),
)
NOISE: Final = NOISE_CONDITIONS + NOISE_READINGS + NOISE_MEDICINES
"""What a real record is full of and no indicator needs: ingest must drop all of it."""
