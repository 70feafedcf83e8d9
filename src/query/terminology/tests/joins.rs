//! Statements with calls give the rows that they give with each call spelled out as a list of codes.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;

use super::tables::{Table, engine, table};
use super::{failure, rows};
use crate::query::Engine;

/// Members of the value set, and pairs of the hierarchy: `a` over `b` and `c`, both over `d`.
const MEMBERS: &[&str] = &["s|a", "s|b", "t|a"];
const PAIRS: &[&str] = &[
    "s|a|a", "s|b|b", "s|c|c", "s|d|d", "s|a|b", "s|a|c", "s|b|d", "s|c|d", "s|a|d", "t|a|a",
    "t|z|z", "t|a|z",
];

/// Statements; `V(x, y)` is the call for a value set, `S(x, y, z)` for a hierarchy.
const STATEMENTS: &[&str] = &[
    "SELECT id FROM c WHERE V(system, code)",
    "SELECT id FROM c WHERE NOT V(system, code)",
    "SELECT id FROM c WHERE n > 3 AND V(system, code) AND NOT V(system, other)",
    "SELECT id FROM c WHERE V(system, code) OR V(system, other)",
    "SELECT id FROM c WHERE NOT (V(system, code) OR n = 2)",
    "SELECT id FROM c WHERE V(system, code) = V(system, other)",
    "SELECT id FROM c WHERE V(system, code) IS NOT TRUE AND n < 9",
    "SELECT id FROM c WHERE V('s', code)",
    "SELECT id FROM c WHERE V('s', 'a') AND n > 2",
    "SELECT id FROM c WHERE V(NULL, code) OR V('nothing', 'a')",
    "SELECT V('s', 'b') AS yes, V('s', 'zz') AS no",
    "SELECT id FROM c WHERE V(lower(upper(system)), coalesce(code, other))",
    "SELECT id FROM c WHERE V(CASE WHEN V(system, code) THEN 't' ELSE 's' END, other)",
    "SELECT id, V(system, code) AS member, NOT V(system, other) FROM c",
    "SELECT id, CASE WHEN V(system, code) THEN 1 WHEN S(system, 'a', code) THEN 2 ELSE 0 END FROM c",
    "SELECT id, V(system, code) AND n > 4 FROM c WHERE V(system, other)",
    "SELECT V(system, code) AS m, count(*) FROM c GROUP BY V(system, code)",
    "SELECT n, count(*) FILTER (WHERE V(system, code)), sum(CASE WHEN V(system, code) THEN n END) FROM c GROUP BY n",
    "SELECT bool_or(V(system, code)) FROM c",
    "SELECT system, max(code) FROM c GROUP BY system HAVING V(system, max(code))",
    "SELECT system, max(code) FROM c GROUP BY system HAVING NOT V(system, min(code)) OR count(*) > 9",
    "SELECT id, row_number() OVER (PARTITION BY V(system, code) ORDER BY id) FROM c",
    "SELECT id FROM c ORDER BY V(system, code), id",
    "SELECT DISTINCT V(system, code), system FROM c",
    "SELECT c.id, p.id FROM c JOIN p ON c.id = p.of_c AND V(c.system, c.code)",
    "SELECT c.id, p.id FROM c JOIN p ON c.id = p.of_c AND NOT V(p.system, p.code)",
    "SELECT c.id, p.id FROM c JOIN p ON c.id = p.of_c AND (V(c.system, c.code) OR V(p.system, p.code))",
    "SELECT c.id, p.id FROM c JOIN p ON c.id = p.of_c AND V(c.system, p.code)",
    "SELECT c.id, p.id FROM c LEFT JOIN p ON c.id = p.of_c AND V(p.system, p.code)",
    "SELECT c.id, p.id FROM c LEFT JOIN p ON c.id = p.of_c AND V(c.system, c.code)",
    "SELECT c.id, p.id FROM c RIGHT JOIN p ON c.id = p.of_c AND NOT V(c.system, c.code)",
    "SELECT c.id, p.id FROM c FULL JOIN p ON c.id = p.of_c AND V(c.system, c.code) AND V(p.system, p.code)",
    "SELECT c.id, p.id FROM c JOIN p ON c.id = p.of_c WHERE V(p.system, p.code) AND V(c.system, c.code)",
    "SELECT c.id, p.id FROM c LEFT JOIN p ON c.id = p.of_c WHERE NOT V(p.system, p.code)",
    "SELECT c.id, p.id FROM c LEFT JOIN p ON c.id = p.of_c WHERE V(c.system, p.code)",
    "SELECT c.id, p.id FROM c, p WHERE c.id = p.of_c AND V(p.system, p.code)",
    "SELECT id FROM c WHERE EXISTS (SELECT 1 FROM p WHERE p.of_c = c.id AND V(p.system, p.code))",
    "SELECT id FROM c WHERE NOT EXISTS (SELECT 1 FROM p WHERE p.of_c = c.id AND (V(p.system, p.code) OR p.n = 1))",
    "SELECT id FROM c WHERE EXISTS (SELECT 1 FROM p WHERE p.of_c = c.id AND NOT V(p.system, p.code)) OR V(system, code)",
    "SELECT id FROM c WHERE id IN (SELECT of_c FROM p WHERE V(system, code))",
    "SELECT id FROM c WHERE id NOT IN (SELECT of_c FROM p WHERE V(system, code) AND of_c IS NOT NULL)",
    "SELECT id, (SELECT count(*) FROM p WHERE p.of_c = c.id AND V(p.system, p.code)) FROM c",
    "WITH m AS (SELECT *, V(system, code) AS is_m FROM c) SELECT a.id, b.id FROM m a JOIN m b ON a.n = b.n AND a.is_m WHERE b.is_m",
    "SELECT id FROM c WHERE V(system, code) UNION ALL SELECT id FROM p WHERE V(system, code)",
    "SELECT id FROM (SELECT * FROM c WHERE V(system, code) OR n = 1) AS x WHERE V(system, other) OR n = 2",
    "SELECT id FROM c WHERE S(system, 'a', code)",
    "SELECT id FROM c WHERE S('s', 'b', code)",
    "SELECT id FROM c WHERE NOT S('s', 'c', code)",
    "SELECT id FROM c WHERE S(system, code, other)",
    "SELECT id FROM c WHERE S('s', code, other) OR n = 4",
    "SELECT id, S(system, code, 'd') FROM c",
    "SELECT id FROM c WHERE S('s', 'unknown', code) OR S('s', 'a', 'd') AND n = 1",
    "SELECT c.id, p.id FROM c JOIN p ON S(c.system, c.code, p.code)",
    "SELECT c.id, p.id FROM c LEFT JOIN p ON c.id = p.of_c AND S('s', 'a', p.code)",
];

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_as_lists_of_codes() {
    for seed in 1..=6 {
        let engine =
            engine(&[terminology(), vec![random("c", seed), random("p", seed + 100)]].concat());
        for statement in STATEMENTS {
            let calls = spelled(statement, |name, arguments| match name {
                'V' => format!("in_valueset({}, 'http://v/m')", arguments.join(", ")),
                _ => format!("subsumes({})", arguments.join(", ")),
            });
            let lists = spelled(statement, |name, arguments| {
                let known = if name == 'V' { MEMBERS } else { PAIRS };
                let known: Vec<_> = known.iter().map(|text| format!("'{text}'")).collect();
                format!(
                    "coalesce(({}) IN ({}), false)",
                    arguments.join(" || '|' || "),
                    known.join(", ")
                )
            });
            let found = sorted(&engine, &calls).await;
            assert_eq!(found, sorted(&engine, &lists).await, "seed {seed}: {calls}");
        }
    }
}

#[tokio::test]
async fn plans_show_joins() {
    let engine = engine(&[terminology(), vec![random("c", 1), random("p", 2)]].concat());
    for (sql, expected) in [
        (
            "SELECT id FROM c WHERE in_valueset(system, code, 'http://v/m')",
            "LeftSemi Join: c.system = ",
        ),
        (
            "SELECT id FROM c WHERE NOT in_valueset(system, code, 'http://v/m')",
            "LeftAnti Join: c.system = ",
        ),
        (
            "SELECT id FROM c WHERE n = 1 OR in_valueset(system, code, 'http://v/m')",
            "LeftMark Join: c.system = ",
        ),
        ("SELECT in_valueset(system, code, 'http://v/m') FROM c", "TableScan: http://v/m"),
        ("SELECT id FROM c WHERE subsumes('s', 'a', code)", "TableScan: s: a and below"),
        (
            "SELECT id FROM c WHERE subsumes(system, code, other)",
            "TableScan: code systems: closure",
        ),
        // The join is below the one that multiplies rows.
        (
            "SELECT 1 FROM p JOIN c ON c.id = p.of_c WHERE in_valueset(c.system, c.code, 'http://v/m')",
            "LeftSemi Join: c.system = ",
        ),
    ] {
        let plan = rows(&engine, &format!("EXPLAIN {sql}")).await.unwrap();
        assert!(plan.contains(expected), "{sql}\n{plan}");
        assert!(!plan.contains("in_valueset(c.") || plan.contains("AS in_valueset"), "{plan}");
    }
}

#[tokio::test]
async fn views_and_models_may_call() {
    let engine = engine(&[terminology(), vec![random("c", 1)]].concat());
    let sql = "CREATE VIEW m AS SELECT id, in_valueset(system, code, 'http://v/m') AS is_m, system, other FROM c;
               SELECT count(*) FROM m WHERE is_m OR in_valueset(system, other, 'http://v/m');";
    let plain = "SELECT count(*) FROM c WHERE in_valueset(system, code, 'http://v/m') OR in_valueset(system, other, 'http://v/m')";
    assert_eq!(rows(&engine, sql).await, rows(&engine, plain).await);
    let mut model = engine.select(plain).await.unwrap();
    assert_eq!(model.next().await.unwrap().unwrap().num_rows(), 1);
}

#[tokio::test]
async fn calls_that_cannot_be_joins_are_refused() {
    let engine = engine(&[terminology(), vec![random("c", 1), random("p", 2)]].concat());
    for (sql, expected) in [
        (
            "SELECT id FROM c WHERE in_valueset(system, code, other)",
            "is the canonical url of a value set",
        ),
        ("SELECT id FROM c WHERE in_valueset(system, code)", "in_valueset"),
        (
            "SELECT id FROM c WHERE in_valueset(system, code, 'http://v/none')",
            "`http://v/none` is not loaded",
        ),
        (
            "SELECT id FROM c WHERE subsumes('none', 'a', code)",
            "the code system `none` is not loaded",
        ),
        ("VALUES (in_valueset('s', 'a', 'http://v/m'))", "cannot be used here"),
        (
            "SELECT id FROM c WHERE EXISTS (SELECT 1 FROM p WHERE in_valueset(c.system, p.code, 'http://v/m'))",
            "in a subquery of its own",
        ),
        (
            "SELECT c.id FROM c LEFT JOIN p ON in_valueset(c.system, p.code, 'http://v/m')",
            "one side of an outer join",
        ),
        (
            "SELECT count(*) FROM c GROUP BY CUBE (in_valueset(system, code, 'http://v/m'))",
            "cannot be used here",
        ),
    ] {
        let error = failure(&engine, sql).await;
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

#[tokio::test]
async fn statements_are_checked_before_there_is_data() {
    let schema = random("c", 1).1.schema();
    let engine = Engine::over_schemas(&[("c".to_owned(), schema)]).unwrap();
    engine.relate("http://v/ValueSet/m", "m").await.unwrap();
    engine.relate("http://v/ConceptMap/m", "t").await.unwrap();
    for (sql, expected) in [
        (
            "SELECT id, in_valueset(system, code, 'http://v/m') FROM c WHERE subsumes('s', 'a', code)",
            "",
        ),
        ("SELECT id FROM c WHERE subsumes(system, code, other)", ""),
        ("SELECT system, version, code, display, inactive FROM m", ""),
        ("SELECT source_code, target_code, relationship FROM t", ""),
        ("SELECT ancestor, descendant, distance FROM code_system_closure('s')", ""),
        (
            "SELECT id FROM c WHERE in_valueset(system, nothing, 'http://v/m')",
            "there is no column `nothing`",
        ),
        ("SELECT nothing FROM m", "there is no column `nothing`"),
    ] {
        let said =
            engine.check(sql).await.err().map(|e| e.message().to_owned()).unwrap_or_default();
        assert_eq!(said, expected, "{sql}");
    }
}

#[tokio::test]
async fn hierarchies_that_were_used_are_told() {
    for (call, expected) in [
        ("subsumes('s|1', 'a', code)", "s|1 s|1 4"),
        ("subsumes(system, 'a', code)", "s|1 s|1 4, t t 2"),
        ("subsumes('t', code, other)", "t t 2"),
    ] {
        let engine = engine(&[terminology(), vec![random("c", 1)]].concat());
        rows(&engine, &format!("SELECT id FROM c WHERE {call}")).await.unwrap();
        let told = engine.terminology_used().into_iter();
        let told: Vec<_> = told
            .map(|u| format!("{} {} {}", u.canonical, u.code_systems.join(","), u.rows))
            .collect();
        assert_eq!(told.join(", "), expected, "{call}");
    }
}

async fn sorted(engine: &Engine, sql: &str) -> Vec<String> {
    let text = rows(engine, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// The statement with each `V(…)` and `S(…)` written as `write` says; calls may stand in arguments.
fn spelled(statement: &str, write: impl Fn(char, &[String]) -> String + Copy) -> String {
    let Some(start) = ["V(", "S("].iter().filter_map(|call| find(statement, call)).max() else {
        return statement.to_owned();
    };
    let name = statement[start..].chars().next().unwrap();
    let (mut depth, mut arguments) = (0, vec![String::new()]);
    let mut end = start + 2;
    for c in statement[end..].chars() {
        end += c.len_utf8();
        match c {
            ')' if depth == 0 => break,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        arguments.last_mut().unwrap().push(c);
    }
    let arguments: Vec<_> = arguments.iter().map(|a| a.trim().to_owned()).collect();
    spelled(
        &format!("{}{}{}", &statement[..start], write(name, &arguments), &statement[end..]),
        write,
    )
}

/// The last place of a call, which no other call is in.
fn find(statement: &str, call: &str) -> Option<usize> {
    let word = |at: usize| {
        statement[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    statement.match_indices(call).map(|(at, _)| at).filter(|at| !word(*at)).last()
}

fn terminology() -> Vec<Table> {
    vec![
        table(
            "value_set",
            "value_set_id url version has_expansion expansion_identifier expansion_total expansion_offset expansion_unclosed compose_inactive",
            "1 http://v/m - true - - - - -",
        ),
        // `s|a` is there under two versions: joins must not multiply rows.
        table(
            "value_set_expansion",
            "value_set_id system version code display abstract inactive",
            "1 s 1 a - - -
             1 s 2 a - - -
             1 s - b - - -
             1 t - a - - -",
        ),
        table(
            "code_system",
            "code_system_id url version content case_sensitive hierarchy_meaning supplements",
            "1 s 1 complete true is-a -
             2 t - complete true - -
             3 part - fragment - - -",
        ),
        table(
            "code_system_concept",
            "code_system_id system version code display",
            "1 s 1 a A
             1 s 1 b B
             1 s 1 c C
             1 s 1 d D
             2 t - a A
             2 t - z Z
             3 part - a A",
        ),
        table(
            "code_system_edge",
            "code_system_id system version parent_code child_code",
            "1 s 1 a b
             1 s 1 a c
             1 s 1 b d
             1 s 1 c d",
        ),
        // Only the one code system has its hierarchy in properties.
        table("code_system_property", "code_system_id code property value", "2 z parent a"),
    ]
}

/// Thirty rows of (id, c, system, code, other, n) with nulls.
fn random(name: &str, seed: u64) -> Table {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut draw = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let rows = 30;
    let mut texts = |from: &[Option<&str>]| -> ArrayRef {
        let picked: Vec<_> =
            (0..rows).map(|_| from[draw(from.len() as u64) as usize].map(str::to_owned)).collect();
        Arc::new(StringArray::from(picked))
    };
    let system = texts(&[Some("s"), Some("s"), Some("t"), Some("u"), None]);
    let codes = [Some("a"), Some("b"), Some("c"), Some("d"), Some("z"), None];
    let (code, other) = (texts(&codes), texts(&codes));
    let mut numbers = |below| -> ArrayRef {
        Arc::new(
            (0..rows).map(|_| Some(draw(below) as i64).filter(|n| *n > 0)).collect::<Int64Array>(),
        )
    };
    let (of_c, n) = (numbers(12), numbers(8));
    let id: ArrayRef = Arc::new((1..=rows).collect::<Int64Array>());
    let columns = [
        ("id", id),
        ("of_c", of_c),
        ("system", system),
        ("code", code),
        ("other", other),
        ("n", n),
    ];
    (name.to_owned(), RecordBatch::try_from_iter(columns).unwrap())
}
