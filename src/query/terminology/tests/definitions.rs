//! Members of value sets that are worked out from their definitions, and the rows of concept maps.

use super::rows;
use super::tables::{Table, engine, table};

/// What is in a value set: components as `kind component system version`, codes, filters and imports of it.
struct Definition {
    components: &'static str,
    concepts: &'static str,
    filters: &'static str,
    imports: &'static str,
}

const NOTHING: Definition = Definition { components: "", concepts: "", filters: "", imports: "" };

/// A hierarchy with a diamond and a heading: h > a, b; a, b > c; c > d; `r` is retired, `i` is inactive.
fn code_systems() -> Vec<Table> {
    vec![
        table(
            "code_system",
            "code_system_id url version content case_sensitive hierarchy_meaning supplements",
            "1 s 1 complete true is-a -
             2 two 1 complete - - -
             3 two 2 complete - - -
             4 frag - fragment - - -
             5 fold - complete false - -
             6 whole - complete - part-of -
             7 s-more 1 supplement - - s
             8 loop - complete - - -",
        ),
        table(
            "code_system_concept",
            "code_system_id code display",
            "1 h Heading
             1 a Apple
             1 b Pear
             1 c Quince
             1 d Medlar
             1 r -
             1 i -
             2 x -
             3 x -
             4 x -
             5 Up -
             5 Low -
             6 x -
             6 y -
             8 x -
             8 y -",
        ),
        table(
            "code_system_edge",
            "code_system_id parent_code child_code",
            "1 h a
             1 h b
             1 a c
             5 Up Low
             6 x y
             8 x y
             8 y x",
        ),
        table(
            "code_system_property",
            "code_system_id code property value",
            "1 c parent b
             1 c child d
             1 h notSelectable true
             1 r status retired
             1 i inactive true
             1 a colour red
             1 a colour green
             1 b colour green
             1 c colour blue",
        ),
    ]
}

fn value_sets(set: &Definition, inactive: &str) -> Vec<Table> {
    let lines = |id: &str, text: &str| -> String {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| format!("{id} {line}")).collect::<Vec<_>>().join("\n")
    };
    vec![
        table(
            "value_set",
            "value_set_id url version has_expansion expansion_identifier expansion_total expansion_offset expansion_unclosed compose_inactive",
            &format!(
                "1 set 7 - - - - - {inactive}
                 2 ab - true - - - - -
                 3 bc 1 - - - - - -
                 4 turn - - - - - - -
                 5 back - - - - - - -
                 6 old - true - - - - -"
            ),
        ),
        table(
            "value_set_expansion",
            "value_set_id system version code display abstract inactive",
            "2 s 1 a - - -
             2 s - b - - -
             6 s 0 b - - -",
        ),
        table(
            "value_set_compose",
            "value_set_id kind component system version",
            &format!(
                "3 include 0 s -\n4 include 0 - -\n5 include 0 - -\n{}",
                lines("1", set.components)
            ),
        ),
        table(
            "value_set_concept",
            "value_set_id kind component code display",
            &format!("3 include 0 b -\n3 include 0 c -\n{}", lines("1", set.concepts)),
        ),
        table(
            "value_set_filter",
            "value_set_id kind component property op value",
            &lines("1", set.filters),
        ),
        table(
            "value_set_import",
            "value_set_id kind component canonical",
            &format!("4 include 0 back\n5 include 0 turn\n{}", lines("1", set.imports)),
        ),
    ]
}

/// The codes of the set `set`, with the system if it is not `s`.
async fn members(set: &Definition, inactive: &str) -> Result<String, String> {
    let engine = engine(&[code_systems(), value_sets(set, inactive)].concat());
    engine.relate("set", "members").await.map_err(|e| e.to_string())?;
    let sql = "SELECT string_agg(CASE WHEN system = 's' THEN code ELSE system || ':' || code END, ' ' ORDER BY system, code) FROM members";
    Ok(rows(&engine, sql).await.unwrap().trim().trim_matches('"').to_owned())
}

#[tokio::test]
async fn filters_select_concepts() {
    for (filters, expected) in [
        ("", Ok("a b c d i r")),
        ("include 0 concept is-a h", Ok("a b c d")),
        ("include 0 code is-a a", Ok("a c d")),
        ("include 0 concept descendent-of a", Ok("c d")),
        ("include 0 concept is-not-a b", Ok("a i r")),
        ("include 0 concept generalizes c", Ok("a b c")),
        ("include 0 concept child-of h", Ok("a b")),
        ("include 0 concept descendent-leaf h", Ok("d")),
        ("include 0 concept is-a nothing", Err("no such code")),
        ("include 0 colour is-a a", Err("a hierarchy is of the property `concept`")),
        ("include 0 parent = b", Ok("c")),
        ("include 0 child = d", Ok("c")),
        ("include 0 concept = a", Ok("a")),
        ("include 0 concept in a,_c,x", Ok("a c")),
        ("include 0 code not-in a,c", Ok("b d i r")),
        ("include 0 code regex [a-c]", Ok("a b c")),
        ("include 0 display regex .*e", Ok("a c")),
        ("include 0 code regex (", Err("no regular expression")),
        ("include 0 colour = green", Ok("a b")),
        ("include 0 colour in red,blue", Ok("a c")),
        ("include 0 colour not-in green", Ok("c d i r")),
        ("include 0 colour exists true", Ok("a b c")),
        ("include 0 colour exists false", Ok("d i r")),
        ("include 0 colour exists maybe", Err("`true` or `false`")),
        (
            "include 0 colour = green\ninclude 0 concept descendent-of h\ninclude 0 code not-in a",
            Ok("b"),
        ),
        ("include 0 inactive = true", Ok("i r")),
        ("include 0 taste = sweet", Err("no concept of the code system has this property")),
        ("include 0 colour like g", Err("the operator is not known")),
    ] {
        let set = Definition { components: "include 0 s -", filters, ..NOTHING };
        check(filters, &members(&set, "-").await, expected);
    }
}

#[tokio::test]
async fn components_are_put_together() {
    let of =
        |components, concepts, imports| Definition { components, concepts, imports, ..NOTHING };
    for (set, inactive, expected) in [
        (of("include 0 s -\ninclude 1 u 3", "include 0 a A\ninclude 1 q -", ""), "-", Ok("a u:q")),
        (
            of("include 0 s -\nexclude 0 s -", "exclude 0 a -\nexclude 0 h -", ""),
            "-",
            Ok("b c d i r"),
        ),
        (of("include 0 s -\nexclude 0 s 2", "include 0 a -\nexclude 0 a -", ""), "-", Ok("a")),
        (of("include 0 s -", "", ""), "false", Ok("a b c d")),
        (of("include 0 s -", "include 0 a -\ninclude 0 r -", ""), "false", Ok("a")),
        (of("include 0 s -", "include 0 a -\ninclude 0 r -", ""), "true", Ok("a r")),
        (
            of("include 0 u -", "include 0 a -", ""),
            "false",
            Err("the code system `u` is not loaded"),
        ),
        (of("include 0 - -", "", "include 0 ab"), "-", Ok("a b")),
        (of("include 0 - -", "", "include 0 ab\ninclude 0 bc"), "-", Ok("b")),
        (
            of("include 0 - -\ninclude 1 - -", "", "include 0 ab\ninclude 1 bc|1"),
            "-",
            Ok("a b b c"),
        ),
        (of("include 0 s -", "include 0 b -\ninclude 0 d -", "include 0 bc"), "-", Ok("b")),
        (of("include 0 s -", "include 0 b -", "include 0 old"), "-", Ok("")),
        (of("include 0 - -\nexclude 0 - -", "", "include 0 bc\nexclude 0 ab"), "-", Ok("c")),
        (of("include 0 - -", "", "include 0 bc|2"), "-", Err("the value set `bc|2` is not loaded")),
        (
            of("include 0 - -", "", "include 0 turn"),
            "-",
            Err("set|7 imports turn imports back imports turn"),
        ),
        (of("include 0 - -", "", "include 0 set"), "-", Err("set|7 imports set|7")),
        (
            of("include 0 two -", "", ""),
            "-",
            Err("several versions of the code system `two` are loaded: `1`, `2`"),
        ),
        (of("include 0 two 2", "", ""), "-", Ok("two:x")),
        (of("include 0 two 3", "", ""), "-", Err("the code system `two|3` is not loaded")),
        (of("include 0 frag -", "", ""), "-", Err("with the content `fragment`")),
        (of("include 0 frag -", "include 0 q -", ""), "-", Ok("frag:q")),
        (of("include 0 s-more -", "", ""), "-", Err("the code system `s-more` is not loaded")),
        (of("", "", ""), "-", Err("neither an expansion nor a definition")),
        (of("include 0 - -", "", ""), "-", Err("neither a system nor a value set")),
        (of("include 0 - -", "include 0 a -", ""), "-", Err("without naming their system")),
    ] {
        let name = format!("{} {} {} {inactive}", set.components, set.concepts, set.imports);
        check(&name, &members(&set, inactive).await, expected);
    }
}

#[tokio::test]
async fn hierarchies_are_as_the_code_system_says() {
    for (system, filters, expected) in [
        ("include 0 fold -", "include 0 concept is-a UP", Ok("fold:Low fold:Up")),
        ("include 0 whole -", "include 0 concept is-a x", Err("one of parts")),
        ("include 0 loop -", "include 0 concept descendent-of x", Ok("loop:y")),
    ] {
        let set = Definition { components: system, filters, ..NOTHING };
        check(system, &members(&set, "-").await, expected);
    }
}

#[tokio::test]
async fn the_closure_has_the_shortest_distances() {
    let engine = engine(&code_systems());
    let s = "a>a:0 a>c:1 a>d:2 b>b:0 b>c:1 b>d:2 c>c:0 c>d:1 d>d:0 h>a:1 h>b:1 h>c:2 h>d:3 h>h:0 i>i:0 r>r:0";
    for (call, expected) in [
        ("code_system_closure('s')", Ok(s)),
        ("code_system_closure('s|1')", Ok(s)),
        ("code_system_closure('loop')", Ok("x>x:0 x>y:1 y>x:1 y>y:0")),
        ("code_system_closure('whole')", Ok("x>x:0 y>y:0")),
        ("code_system_closure('none')", Err("the code system `none` is not loaded")),
        ("code_system_closure('frag')", Err("with the content `fragment`")),
        ("code_system_closure(1)", Err("takes the url of a code system as text")),
        ("code_system_closure('a', 'b')", Err("takes one code system")),
    ] {
        let sql = format!(
            "SELECT string_agg(ancestor || '>' || descendant || ':' || distance, ' ' ORDER BY ancestor, descendant) FROM {call}"
        );
        let found = rows(&engine, &sql).await.map(|text| text.trim().trim_matches('"').to_owned());
        check(call, &found, expected);
    }
    let all = rows(&engine, "SELECT count(*), count(DISTINCT system) FROM code_system_closure()")
        .await
        .unwrap();
    assert_eq!(all, "27,5\n");
}

#[tokio::test]
async fn concept_maps_become_relations() {
    let lines = |id: &str, line: &str| format!("{id} {line}");
    for (line, expected) in [
        ("s t|3 a A x X equivalent - - 0 0", Ok("s,,a,A,t,3,x,X,equivalent\n")),
        (
            "s|1 - a - x - - source-is-broader-than-target - - -",
            Ok("s,1,a,,,,x,,source-is-broader-than-target\n"),
        ),
        ("s t a - x - wider - - 0 0", Ok("s,,a,,t,,x,,source-is-narrower-than-target\n")),
        ("s t a - x - subsumes - - 0 0", Ok("s,,a,,t,,x,,source-is-narrower-than-target\n")),
        ("s t a - x - narrower - - 0 0", Ok("s,,a,,t,,x,,source-is-broader-than-target\n")),
        ("s t a - x - specializes - - 0 0", Ok("s,,a,,t,,x,,source-is-broader-than-target\n")),
        ("s t a - x - equal - - 0 0", Ok("s,,a,,t,,x,,equivalent\n")),
        ("s t a - x - relatedto - - 0 0", Ok("s,,a,,t,,x,,related-to\n")),
        ("s t a - x - inexact - - 0 0", Ok("s,,a,,t,,x,,related-to\n")),
        ("s t a - x - disjoint - - 0 0", Ok("s,,a,,t,,x,,not-related-to\n")),
        ("s t a A - - unmatched - - 0 0", Ok("s,,a,A,t,,,,\n")),
        ("s t a A - - - - true - -", Ok("s,,a,A,t,,,,\n")),
        ("s t a A - - - - - - -", Ok("")),
        ("s t a A - - equivalent - - 0 0", Err("a target has no code")),
        ("s t a A x - close - - 0 0", Err("an equivalence that R4 does not know")),
        ("- t a A x - equal - - 0 0", Err("a group has no `source`")),
        ("s t - A x - equal - - 0 0", Err("an element has no code")),
        ("s t a A x - equal - - 1 0", Err("`dependsOn` or `product`")),
        ("s t a A x - equal - - 0 2", Err("`dependsOn` or `product`")),
    ] {
        let text = format!(
            "{}\n{}\n{}",
            lines("1", line),
            lines("1", line),
            lines("2", "o o o o o o equal - - 0 0")
        );
        let engine = engine(&[
            table("concept_map", "concept_map_id url version", "1 http://m 1\n2 http://other 1"),
            table(
                "concept_map_target",
                "concept_map_id source_system target_system source_code source_display target_code target_display equivalence relationship no_map depends_on_count product_count",
                &text,
            ),
        ]);
        let found = match engine.relate("http://m", "m").await {
            Ok(()) => rows(&engine, "SELECT * FROM m").await,
            Err(error) => Err(error.to_string()),
        };
        check(line, &found, expected);
    }
}

fn check(name: &str, found: &Result<String, String>, expected: Result<&str, &str>) {
    match (found, expected) {
        (Ok(found), Ok(expected)) if found == expected => {}
        (Err(error), Err(expected)) if error.contains(expected) => {}
        _ => panic!("{name}: {found:?}, not {expected:?}"),
    }
}
