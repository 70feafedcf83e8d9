//! What `kiln check` and `kiln flatten` say of a view with mistakes: all of them, in the order of the text.

use crate::command::{folder, run};

const VIEW: &str = r#"{
  "resourceType": "ViewDefinition",
  "name": "visits",
  "resource": "Encounter",
  "constant": [
    {"name": "since", "valueDate": "2020-13"},
    {"name": "half", "valueDecimal": 0.50}
  ],
  "where": {"path": "period.start > %since"},
  "select": [
    {
      "column": [
        {"name": "id", "path": "getResourceKey()"},
        {"name": "note", "path": "type.where(text = \u0027é\u0027).frist()", "type": "strng"},
        {"name": "status", "path": "status"},
        {"name": "code", "path": "type.coding.code"}
      ]
    },
    {
      "forEach": "diagnosis",
      "column": [
        {"name": "Status", "path": "use", "tags": []}
      ]
    },
    {
      "column": [{"name": "reason", "path": "reasonCode.first().text"}],
      "column": [{"name": "class", "path": "class"}]
    }
  ]
}
"#;

const SAID: &str = r#"error: constant `since`: `"2020-13"` is no `date`
  at: bad.json:6:23: constant[0].valueDate
  hint: write `"2020"`, `"2020-12"` or `"2020-12-31"`
warning: no expression uses constant `half`
  at: bad.json:7:6: constant[1].name
  hint: write `%half`, or leave it out
error: `where` must be a list
  at: bad.json:9:3: where
  hint: write `"where": [{"path": …}]`
error: there is no function `frist()`
  at: bad.json:14:68: select[0].column[1].path
      type.where(text = 'é').frist()
                             ^^^^^
  hint: did you mean `first()`?
error: there is no type `strng` in FHIR R4
  at: bad.json:14:78: select[0].column[1].type
  hint: did you mean `string`?
warning: column `code` takes one value, and its path can give several
  at: bad.json:16:35: select[0].column[3].path
      type.coding.code
      ^^^^^^^^^^^^^^^^
  hint: a resource with several is rejected; use `first()`, a `forEach`, or `collection`
error: there are two columns `Status`
  at: bad.json:22:10: select[1].column[0].name
  hint: the first is `select[0].column[2]`; column names must differ within a view, by more than their case
error: column `Status` gives `CodeableConcept`, which is no single value
  at: bad.json:22:37: select[1].column[0].path
      use
      ^^^
  hint: name one of its elements in the path, or declare the `type` to get its JSON
warning: `tags` has no effect
  at: bad.json:22:43: select[1].column[0].tags
  hint: it is spelled `tag`
error: `column` is written twice here
  at: bad.json:27:7: select[2].column
  hint: JSON keeps only one of them
error: column `class` gives `Coding`, which is no single value
  at: bad.json:27:45: select[2].column[0].path
      class
      ^^^^^
  hint: name one of its elements in the path, or declare the `type` to get its JSON
error: 8 mistakes in the definitions; nothing was read
"#;

#[test]
fn all_mistakes_of_a_view_are_shown_with_their_places() {
    let scene = folder(&[("bad.json", VIEW)]);
    let ran = run(scene.path(), &["check", "bad.json"], "");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (3, "", SAID));
    let ran = run(scene.path(), &["flatten", "--view", "bad.json", "none"], "");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (3, "", SAID));
}

#[test]
fn decimal_constants_are_what_is_written() {
    for (number, last) in
        [("0.50", "0.50"), ("12345678901234567890.12345678", "12345678901234567890.12345678")]
    {
        let view = format!(
            "{{\"resource\": \"Patient\", \"constant\": [{{\"name\": \"c\", \"valueDecimal\": {number}}}],
              \"select\": [{{\"column\": [{{\"name\": \"c\", \"path\": \"%c\"}}]}}]}}"
        );
        let scene =
            folder(&[("c.json", &view), ("Patient.ndjson", "{\"resourceType\":\"Patient\"}\n")]);
        let ran = run(
            scene.path(),
            &["flatten", "--view", "c.json", "--format", "csv", "Patient.ndjson"],
            "",
        );
        assert_eq!((ran.code, ran.stdout), (0, format!("c\n{last}\n")), "{}", ran.stderr);
    }
}
