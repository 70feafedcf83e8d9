//! The CCLF tables over the sample resources of the Blue Button server of CMS: every claim is in its table, with the values
//! that stand in the sample.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{folder, run};
use crate::shared::shared;

/// What a table has of the samples. A row is named by its first column: for claims, which have no id, the file's name.
struct Table {
    name: &'static str,
    /// Which samples give how many rows, by name.
    rows: &'static [(&'static str, usize)],
    /// Sample, which of its rows, column and value; null is `∅`.
    cells: &'static [(&'static str, usize, &'static str, &'static str)],
}

const INPATIENT: &str = "ExplanationOfBenefit";
const CARRIER: &str = "ExplanationOfBenefit-Carrier";
const DME: &str = "ExplanationOfBenefit-DME";
const HHA: &str = "ExplanationOfBenefit-HHA";
const HOSPICE: &str = "ExplanationOfBenefit-Hospice";
const OUTPATIENT: &str = "ExplanationOfBenefit-Outpatient";
const PHARMACY: &str = "ExplanationOfBenefit-Pharmacy";
const SNF: &str = "ExplanationOfBenefit-SNF";
const PATIENT: &str = "123456789";

/// One row for each institutional claim.
const INSTITUTIONAL: &[(&str, usize)] =
    &[(INPATIENT, 1), (HHA, 1), (HOSPICE, 1), (OUTPATIENT, 1), (SNF, 1)];

/// The sample `ExplanationOfBenefit-MCS` is a claim that is not adjudicated yet, `-PriorAuth` no claim: both are nowhere.
const TABLES: &[Table] = &[
    Table {
        name: "cclf1",
        rows: INSTITUTIONAL,
        cells: &[
            (INPATIENT, 0, "cur_clm_uniq_id", "NON-UNIQUE-ID-HERE"),
            (INPATIENT, 0, "clm_type_cd", "60"),
            (INPATIENT, 0, "clm_from_dt", "2025-01-03"),
            (INPATIENT, 0, "clm_thru_dt", "2025-01-11"),
            (INPATIENT, 0, "prvdr_oscar_num", "00024"),
            (INPATIENT, 0, "clm_blg_prvdr_npi_num", "1548226988"),
            (INPATIENT, 0, "clm_atndg_prvdr_npi_num", "1942945159"),
            (INPATIENT, 0, "prncpl_dgns_cd", "M48.062"),
            (INPATIENT, 0, "dgns_prcdr_icd_ind", "0"),
            (INPATIENT, 0, "dgns_drg_cd", "460"),
            (INPATIENT, 0, "bene_ptnt_stus_cd", "06"),
            // The type of bill is 0123.
            (INPATIENT, 0, "clm_bill_fac_type_cd", "1"),
            (INPATIENT, 0, "clm_bill_clsfctn_cd", "2"),
            (INPATIENT, 0, "clm_bill_freq_cd", "3"),
            (INPATIENT, 0, "clm_pmt_amt", "3.5"),
            (INPATIENT, 0, "clm_mdcr_instnl_tot_chrg_amt", "9001.55"),
            (INPATIENT, 0, "clm_oprtnl_ime_amt", "12342.14"),
            (INPATIENT, 0, "final_action", "FinalAction"),
            // The contained organization has no CCN.
            (HHA, 0, "prvdr_oscar_num", "∅"),
            (HHA, 0, "dgns_drg_cd", "∅"),
            (OUTPATIENT, 0, "clm_op_srvc_type_cd", "3"),
            (OUTPATIENT, 0, "admtg_dgns_cd", "∅"),
            (SNF, 0, "clm_type_cd", "30"),
            (SNF, 0, "othr_prvdr_npi_num", "∅"),
        ],
    },
    Table {
        name: "cclf2",
        rows: &[(INPATIENT, 4), (HHA, 4), (HOSPICE, 4), (OUTPATIENT, 4), (SNF, 4)],
        cells: &[
            (INPATIENT, 0, "clm_line_num", "1"),
            (INPATIENT, 0, "clm_line_prod_rev_ctr_cd", "0636"),
            (INPATIENT, 0, "clm_line_hcpcs_cd", "99213"),
            (INPATIENT, 0, "clm_line_srvc_unit_qty", "3"),
            (INPATIENT, 0, "clm_line_instnl_rev_ctr_dt", "∅"),
            (INPATIENT, 1, "clm_line_cvrd_pd_amt", "11.14"),
            (INPATIENT, 1, "hcpcs_1_mdfr_cd", "A2"),
            (INPATIENT, 2, "clm_line_instnl_rev_ctr_dt", "2025-01-01"),
            // FHIR says `not-applicable`.
            (INPATIENT, 2, "clm_line_hcpcs_cd", "∅"),
            (INPATIENT, 3, "clm_line_hcpcs_cd", "J2270"),
        ],
    },
    Table {
        name: "cclf3",
        rows: &[(INPATIENT, 5), (HHA, 5), (HOSPICE, 5), (OUTPATIENT, 5), (SNF, 5)],
        cells: &[
            (SNF, 0, "clm_prcdr_cd", "0SG30AJ"),
            (SNF, 0, "clm_prcdr_prfrm_dt", "2024-01-01"),
            (SNF, 0, "dgns_prcdr_icd_ind", "0"),
            (SNF, 4, "clm_prcdr_cd", "8E0WXBZ"),
            (SNF, 4, "clm_blg_prvdr_oscar_num", "00024"),
        ],
    },
    Table {
        name: "cclf4",
        rows: &[(INPATIENT, 7), (HHA, 5), (HOSPICE, 5), (OUTPATIENT, 5), (SNF, 5)],
        cells: &[
            (INPATIENT, 0, "clm_prod_type_cd", "P"),
            (INPATIENT, 1, "clm_prod_type_cd", "A"),
            (INPATIENT, 2, "clm_prod_type_cd", "E"),
            (INPATIENT, 2, "clm_dgns_cd", "Z66"),
            (INPATIENT, 2, "clm_poa_ind", "∅"),
            (INPATIENT, 6, "clm_prod_type_cd", "D"),
            (INPATIENT, 6, "clm_dgns_cd", "K11.21"),
            (INPATIENT, 6, "clm_poa_ind", "N"),
            (OUTPATIENT, 1, "clm_prod_type_cd", "R"),
        ],
    },
    Table {
        name: "cclf5",
        rows: &[(CARRIER, 4)],
        cells: &[
            (CARRIER, 0, "clm_type_cd", "72"),
            (CARRIER, 0, "clm_dgns_1_cd", "M48.062"),
            // The principal diagnosis is there a second time.
            (CARRIER, 0, "clm_dgns_2_cd", "M48.063"),
            (CARRIER, 0, "clm_dgns_4_cd", "E78.00"),
            (CARRIER, 0, "clm_dgns_5_cd", "∅"),
            (CARRIER, 0, "clm_line_thru_dt", "2025-01-02"),
            (CARRIER, 0, "clm_line_alowd_chrg_amt", "9194.22"),
            (CARRIER, 0, "clm_line_dgns_cd", "M48.062"),
            (CARRIER, 0, "clm_rndrg_prvdr_tax_num", "15"),
            (CARRIER, 0, "rndrg_prvdr_npi_num", "1942945159"),
            (CARRIER, 0, "rndrg_prvdr_fips_st_cd", "04"),
            (CARRIER, 1, "rndrg_prvdr_npi_num", "1952378861"),
            (CARRIER, 1, "rndrg_prvdr_fips_st_cd", "05"),
            (CARRIER, 1, "hcpcs_5_mdfr_cd", "A5"),
            (CARRIER, 1, "clm_line_dgns_cd", "∅"),
            (CARRIER, 2, "clm_line_prmry_pyr_cd", "H"),
        ],
    },
    Table {
        name: "cclf6",
        rows: &[(DME, 4)],
        cells: &[
            (DME, 0, "clm_type_cd", "82"),
            (DME, 0, "payto_prvdr_npi_num", "1548226988"),
            (DME, 0, "clm_line_alowd_chrg_amt", "9194.22"),
            (DME, 0, "clm_line_thru_dt", "2025-01-01"),
            (DME, 1, "clm_line_cvrd_pd_amt", "11.14"),
            (DME, 3, "clm_line_hcpcs_cd", "J2270"),
            (DME, 3, "clm_pos_cd", "07"),
        ],
    },
    Table {
        name: "cclf7",
        rows: &[(PHARMACY, 1)],
        cells: &[
            (PHARMACY, 0, "cur_clm_uniq_id", "PHARM-2024-0012345"),
            (PHARMACY, 0, "clm_type_cd", "1"),
            (PHARMACY, 0, "clm_line_ndc_cd", "00071015523"),
            (PHARMACY, 0, "clm_line_srvc_unit_qty", "60"),
            (PHARMACY, 0, "clm_line_days_suply_qty", "30"),
            (PHARMACY, 0, "clm_line_rx_fill_num", "1"),
            (PHARMACY, 0, "clm_line_bene_pmt_amt", "100"),
            (PHARMACY, 0, "clm_srvc_prvdr_gnrc_id_num", "1942945159"),
            (PHARMACY, 0, "prvdr_srvc_id_qlfyr_cd", "11"),
            (PHARMACY, 0, "prvdr_prsbng_id_qlfyr_cd", "01"),
        ],
    },
    Table {
        name: "cclf8",
        rows: &[(PATIENT, 1)],
        cells: &[
            (PATIENT, 0, "bene_mbi_id", "ABB2BB0BB22"),
            (PATIENT, 0, "bene_last_name", "Sheep"),
            (PATIENT, 0, "bene_midl_name", "Le Petit Prince"),
            (PATIENT, 0, "bene_dob", "1995-03-11"),
            (PATIENT, 0, "bene_death_dt", "2024-03-11"),
            (PATIENT, 0, "bene_sex_cd", "2"),
            (PATIENT, 0, "bene_race_cd", "5"),
            (PATIENT, 0, "bene_line_2_adr", "TEST for line 2"),
            (PATIENT, 0, "geo_zip5_cd", "77840"),
        ],
    },
    Table {
        name: "cclf8_coverage",
        rows: &[("part-A-123456789", 1), ("part-B-123456789", 1), ("part-DUAL-123456789", 1)],
        cells: &[
            ("part-A-123456789", 0, "patient_id", PATIENT),
            ("part-A-123456789", 0, "bene_mdcr_stus_cd", "31"),
            ("part-A-123456789", 0, "bene_orgnl_entlmt_rsn_cd", "2"),
            ("part-A-123456789", 0, "bene_part_a_enrlmt_bgn_dt", "2018-04-11"),
            ("part-A-123456789", 0, "bene_part_b_enrlmt_bgn_dt", "∅"),
            ("part-B-123456789", 0, "bene_part_b_enrlmt_bgn_dt", "2018-04-11"),
            ("part-B-123456789", 0, "bene_entlmt_buyin_ind", "A"),
            ("part-DUAL-123456789", 0, "bene_dual_stus_cd", "01"),
        ],
    },
    Table {
        name: "cclf9",
        rows: &[(PATIENT, 1)],
        cells: &[
            (PATIENT, 0, "crnt_num", "ABB2BB0BB22"),
            (PATIENT, 0, "prvs_num", "AAA1AA0AA11"),
            (PATIENT, 0, "prvs_id_efctv_dt", "2017-05-11"),
            (PATIENT, 0, "prvs_id_obslt_dt", "2017-07-01"),
        ],
    },
    Table {
        name: "cclfa",
        rows: INSTITUTIONAL,
        cells: &[
            (INPATIENT, 0, "clm_demo_1st_num", "1"),
            (INPATIENT, 0, "clm_demo_5th_num", "5"),
            (INPATIENT, 0, "clm_ngaco_cmg_wvr_sw", "Y"),
            (INPATIENT, 0, "clm_ngaco_pbpmt_sw", "∅"),
            (INPATIENT, 0, "clm_rlt_cond_cd", "09,10"),
            (INPATIENT, 0, "clm_blood_lblty_amt", "121.1"),
            (INPATIENT, 0, "clm_mdcr_ddctbl_amt", "17.85"),
            (INPATIENT, 0, "clm_1_rev_cntr_ansi_rsn_cd", "∅"),
            (HHA, 0, "clm_1_rev_cntr_ansi_rsn_cd", "B7"),
            (HHA, 0, "clm_1_rev_cntr_ansi_grp_cd", "PR"),
        ],
    },
    Table {
        name: "cclfb",
        rows: &[(CARRIER, 4)],
        cells: &[
            (CARRIER, 0, "clm_mdcr_ddctbl_amt", "17.85"),
            (CARRIER, 0, "clm_line_mdcr_ddctbl_amt", "∅"),
            (CARRIER, 1, "clm_line_num", "2"),
            (CARRIER, 1, "clm_line_mdcr_ddctbl_amt", "3.5"),
            (CARRIER, 1, "clm_line_carr_hpsa_scrcty_cd", "1"),
            (CARRIER, 2, "clm_line_mdcr_ddctbl_amt", "17.39"),
        ],
    },
];

/// The samples as NDJSON, sorted by name; what has no id has the file's name.
fn samples(out: &Path) -> String {
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    files.sort_by_key(|file| file.file_stem().unwrap().to_owned());
    let mut lines = String::new();
    for file in files {
        let mut resource: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let fields = resource.as_object_mut().unwrap();
        fields.entry("id").or_insert_with(|| Value::from(name));
        lines.push_str(&resource.to_string());
        lines.push('\n');
    }
    lines
}

/// The rows of a table: the name of each, and the row.
fn rows(folder: &Path, table: &str) -> Vec<(String, Value)> {
    let view = format!("{}/schemas/cclf/{table}.json", env!("CARGO_MANIFEST_DIR"));
    let ran =
        run(folder, &["flatten", "--view", &view, "--format", "ndjson", "samples.ndjson"], "");
    assert_eq!(ran.code, 0, "{table}: {}", ran.stderr);
    assert!(!ran.stderr.contains("warning"), "{table}: {}", ran.stderr);
    let key = match table {
        "cclf8" | "cclf9" => "patient_id",
        "cclf8_coverage" => "coverage_id",
        _ => "explanation_of_benefit_id",
    };
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row[key].as_str().unwrap().to_owned(), row)
    };
    ran.stdout.lines().map(row).collect()
}

/// A cell as text: numbers without the zeros at their end, null as `∅`.
fn text(cell: &Value) -> String {
    match cell {
        Value::Null => "∅".to_owned(),
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn check(folder: &Path, table: &Table) {
    let rows = rows(folder, table.name);
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (name, _) in &rows {
        match counts.iter_mut().find(|(n, _)| n == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_unstable();
    assert_eq!(counts, table.rows, "{}: rows", table.name);
    for (sample, nth, column, expected) in table.cells {
        let row = rows.iter().filter(|(name, _)| name == sample).nth(*nth).unwrap();
        let cell = row.1.get(column).unwrap_or_else(|| panic!("{}: {column}", table.name));
        assert_eq!(text(cell), *expected, "{}: {sample}, row {nth}: {column}", table.name);
    }
}

#[test]
fn samples_of_blue_button_give_the_values_of_cclf() {
    let Some(out) = shared("data/cms-bfd/out") else { return };
    let scene = folder(&[("samples.ndjson", &samples(&out))]);
    for table in TABLES {
        check(scene.path(), table);
    }
}
