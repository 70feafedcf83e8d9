//! One row for each rule of the FHIRPath text, by its section. A text stands for what a cell shows.

use serde_json::{Value, json};

use super::{check_all, observation, patient, refused, values, view};

/// Checks the messages of expressions that fail on the patient.
fn fails(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let why = values(&patient(), expression).expect_err(expression);
        // Behind the reason stands the part of the expression.
        assert!(why.starts_with(&format!("{expected}: `")), "{expression}: {why}");
    }
}

#[test]
fn literals() {
    check_all(
        &patient(),
        &[
            ("'\\uD83D\\uDD25'", json!(["🔥"])),
            ("'a\\uD83D\\uDD25b'.indexOf('b')", json!([2])),
            ("'\\u0065\\u0301'.length()", json!([2])),
            ("'\\p'", json!(["p"])),
            ("'\\3'", json!(["3"])),
            ("'\\u005'", json!(["u005"])),
            ("45L", json!([45])),
            ("5L + 4.5", json!(["9.5"])),
            ("@2014T", json!(["2014"])),
            ("@2014T is DateTime", json!([true])),
            ("@2014 is Date", json!([true])),
            ("@2014-01-25T14 is DateTime", json!([true])),
            ("@T14:30:14.559", json!(["14:30:14.559"])),
            ("- -5", json!([5])),
            ("---5", json!([-5])),
            ("+5", json!([5])),
            ("-7 + 3", json!([-4])),
            ("(4 'days').toString()", json!(["4 days"])),
            ("10 'mg'.toString()", json!(["10 'mg'"])),
        ],
    );
    fails(&[("-7.combine(3)", "a single value is wanted here, there are several")]);
}

#[test]
fn empty_goes_through() {
    for expression in [
        "{} + 1",
        "1 - {}",
        "{} = 1",
        "{} > 1",
        "{} != 'dummy'",
        "true > {}",
        "{}.substring(0)",
        "'abc'.substring({})",
        "'abc'.indexOf({})",
        "{}.indexOf('a')",
        "'abc'.startsWith({})",
        "'abc'.matches({})",
        "'abc'.replace({}, 'a')",
        "'abc'.replace('a', {})",
        "(1 | 2).skip({})",
        "(1 | 2).take({})",
        "(1 | 2)[{}]",
        "{}.round()",
        "1.5.round({})",
        "2.power({})",
        "{}.toQuantity()",
        "{}.convertsToInteger()",
        "{}.single()",
        "{}.sum()",
        "{}.avg()",
        "{}.min()",
        "{}.yearOf()",
        "{}.lowBoundary()",
        "1.5.lowBoundary({})",
        "{}.precision()",
        "{}.join(',')",
        "-{}",
        "{}.not()",
        "photo.first() is Attachment",
        "birthDate.where(false).iif(true, $this)",
    ] {
        check_all(&patient(), &[(expression, json!([]))]);
    }
    check_all(
        &patient(),
        &[
            ("{}.allTrue()", json!([true])),
            ("{}.anyTrue()", json!([false])),
            ("{}.allFalse()", json!([true])),
            ("{}.anyFalse()", json!([false])),
            ("{}.all(false)", json!([true])),
            ("{}.isDistinct()", json!([true])),
            ("{}.subsetOf(1)", json!([true])),
            ("(1).subsetOf({})", json!([false])),
            ("(1).supersetOf({})", json!([true])),
            ("'abc'.substring(1, {})", json!(["bc"])),
            ("{}.iif(true, 'a', 'b')", json!(["a"])),
            ("birthDate.where(false).iif(exists(), 'a', 'b')", json!(["b"])),
        ],
    );
}

#[test]
fn three_valued_logic() {
    let cell = |v: &str| match v {
        "true" => json!([true]),
        "false" => json!([false]),
        _ => json!([]),
    };
    let values = ["true", "false", "{}"];
    for (operator, table) in [
        ("and", ["true", "false", "{}", "false", "false", "false", "{}", "false", "{}"]),
        ("or", ["true", "true", "true", "true", "false", "{}", "true", "{}", "{}"]),
        ("xor", ["false", "true", "{}", "true", "false", "{}", "{}", "{}", "{}"]),
        ("implies", ["true", "false", "{}", "true", "true", "true", "true", "{}", "{}"]),
    ] {
        for (i, expected) in table.iter().enumerate() {
            let expression = format!("{} {operator} {}", values[i / 3], values[i % 3]);
            check_all(&patient(), &[(&expression, cell(expected))]);
        }
    }
    check_all(
        &patient(),
        &[
            ("active and gender", json!([true])),
            ("iif(0, 'yes', 'no')", json!(["yes"])),
            ("iif('hi', 'yes', 'no')", json!(["yes"])),
            ("'x'.not()", json!([false])),
        ],
    );
}

#[test]
fn equality() {
    check_all(
        &observation(),
        &[
            ("1 = 1.0", json!([true])),
            ("0.0 = 0", json!([true])),
            ("1.2 / 1.8 = 0.67", json!([false])),
            ("23 = 23 '1'", json!([true])),
            ("5 < 6 '1'", json!([true])),
            ("value > 1", json!([])),
            ("value = 1.5", json!([])),
            ("(1 | 2 | 3) = (1 | 2 | 3)", json!([true])),
            ("(1 | 2) = 1", json!([false])),
            ("(@2012 | 1) = (@2012-01 | 1)", json!([])),
            ("(@2012 | 1) = (@2012-01 | 2)", json!([false])),
            ("'1' = 1", json!([false])),
            ("true = 'true'", json!([false])),
            ("1.10 ~ 1.1", json!([true])),
            ("1.2 / 1.8 ~ 0.67", json!([true])),
            ("1 ~ 1.01", json!([true])),
            ("1 ~ 1.5", json!([false])),
            ("0.0 ~ 0", json!([true])),
            ("23 ~ 23 '1'", json!([true])),
            ("'a b' ~ 'a\\tB'", json!([true])),
            ("'a' ~ 'b'", json!([false])),
            ("1 ~ {}", json!([false])),
            ("1 !~ 2", json!([true])),
            ("(1 | 2 | 3) ~ (3 | 2 | 1)", json!([true])),
            ("(1 | 2) ~ (1 | 2 | 3)", json!([false])),
            ("@2012 ~ @2012", json!([true])),
            ("@2012-01 ~ @2012", json!([false])),
            ("@2012-01-01T10:30:31.0 ~ @2012-01-01T10:30:31", json!([true])),
            ("code ~ code", json!([true])),
            ("code = code", json!([true])),
            ("component[0] = component[1]", json!([false])),
            ("component[1].value in (7 | 8)", json!([true])),
            ("(1 | 2) contains 3", json!([false])),
            ("{} contains 3", json!([false])),
            ("(1 | 2) contains {}", json!([])),
            ("1 in (1.0 | 2)", json!([true])),
            ("1 'm' in (100 'cm' | 2 'cm')", json!([true])),
            ("(1 'm' | 100 'cm').count()", json!([1])),
            ("@2012 in (@2012-01 | @2013)", json!([false])),
        ],
    );
    let twice = json!({ "resourceType": "Patient", "id": "p", "name": [
        { "family": "A", "given": ["x", "y"], "period": { "start": "2020" } },
        { "given": ["Y", "X"], "family": "a", "period": { "start": "2020" } },
        { "family": "A", "given": ["x", "y"], "period": { "start": "2020-01" } },
        { "given": ["x", "y"], "period": { "start": "2020" }, "family": "A" },
    ] });
    check_all(
        &twice.to_string(),
        &[
            ("name[0] = name[1]", json!([false])),
            ("name[0] ~ name[1]", json!([true])),
            ("name[0] = name[2]", json!([])),
            ("name[0] ~ name[2]", json!([false])),
            ("name[0] = name[3]", json!([true])),
            ("name.distinct().count()", json!([3])),
        ],
    );
    let absent = |url: &str| json!({ "extension": [{ "url": url, "valueCode": "unknown" }] });
    let no_values = json!({ "resourceType": "Patient", "id": "p", "_gender": absent("a"), "_birthDate": absent("b"),
        "_active": absent("c"), "_multipleBirthInteger": absent("d"),
        "name": [{ "given": [null, null, null], "_given": [absent("x"), absent("x"), absent("y")] }] });
    check_all(
        &no_values.to_string(),
        &[
            ("gender = 'male'", json!([])),
            ("gender != 'male'", json!([])),
            ("birthDate < @2020-01-01", json!([])),
            ("birthDate + 1 day", json!([])),
            ("gender.upper()", json!([])),
            ("'a'.indexOf(gender)", json!([])),
            ("gender & 'x'", json!(["x"])),
            ("active and true", json!([])),
            ("active.not()", json!([])),
            ("gender and true", json!([true])),
            ("(1 | 2).skip(multipleBirth)", json!([])),
            ("gender.toString()", json!([])),
            ("birthDate.lowBoundary()", json!([])),
            ("name.given[0] = name.given[1]", json!([true])),
            ("name.given[0] = name.given[2]", json!([false])),
            ("name.given.distinct().count()", json!([2])),
        ],
    );
}

#[test]
fn comparison() {
    check_all(
        &patient(),
        &[
            ("10 > 5.0", json!([true])),
            ("'abc' > 'ABC'", json!([true])),
            ("@2018-03 > @2018-03-01", json!([])),
            ("@2018-03-01T10:30:00 > @2018-03-01T10:30:00.0", json!([false])),
            ("@2018-03-01T10 > @2018-03-01T10:30", json!([])),
            ("@T10:30:00 >= @T10:30:00.0", json!([true])),
            ("@2018-01-01T16:00:00+11:00 < @2018-01-01T15:00:00.0+10:00", json!([false])),
            ("@2018-01-01T16:00:00+12:00 < @2018-01-01T15:00:00.0+10:00", json!([true])),
            ("@2017-11-05T01:30:00.0-04:00 = @2017-11-05T00:30:00.0-05:00", json!([true])),
            ("@2020-05-16 < @2020-05-17T10:00:00Z", json!([true])),
            ("@2020-05-17 = @2020-05-17T10:00:00Z", json!([])),
        ],
    );
    fails(&[
        ("name.given < 'x'", "a single value is wanted here, there are several"),
        ("iif(true, @T10:00, 1) < iif(true, @2020, 1)", "values of different types have no order"),
        (
            "iif(true, name.first(), 1) < 2",
            "only strings, numbers, quantities, dates and times have an order",
        ),
    ]);
}

#[test]
fn quantities() {
    check_all(
        &observation(),
        &[
            ("1 'cm' = 10.0 'mm'", json!([true])),
            ("1 'cm' = 1 'm'", json!([false])),
            ("1 'cm' = 1 's'", json!([])),
            ("23 'Cel' = 73.4 '[degF]'", json!([])),
            ("1 'g' = 1000 'mg'", json!([true])),
            ("1 'g/L' > 50 'mg/dL'", json!([true])),
            ("4 'm' > 4 'cm'", json!([true])),
            ("value = 0.0015 'g'", json!([true])),
            ("value < 2 'g'", json!([true])),
            ("value = 1.5 '[foo]'", json!([])),
            ("1 '[foo]' = 1 '[foo]'", json!([true])),
            ("1 'h' = 3600 's'", json!([true])),
            ("1 hour = 3600 's'", json!([true])),
            ("1 day = 1 'd'", json!([true])),
            ("1 'min' < 1 hour", json!([true])),
            ("7 days = 1 'wk'", json!([true])),
            ("1 year = 1 'a'", json!([])),
            ("1 year > 1 'a'", json!([])),
            ("1 year ~ 1 'a'", json!([true])),
            ("1 year = 12 months", json!([true])),
            ("1 year = 12 'mo'", json!([])),
            ("6 months > 1 year", json!([false])),
            ("1 year ~ 11 months", json!([true])),
            ("1 year.toQuantity('a') = 1 'a'", json!([true])),
            ("4 'days' = 4 days", json!([true])),
            ("2.1 'cm' ~ 21 'mm'", json!([true])),
            ("21 'mm' ~ 2 'cm'", json!([true])),
            ("4 'g' ~ 4040 'mg'", json!([true])),
            ("4 'g' ~ 4600 'mg'", json!([false])),
            ("23 'Cel' ~ 73.4 '[degF]'", json!([])),
            ("3 'm' + 3 'cm'", json!(["3.03 'm'"])),
            ("3 'cm' + 3 'm'", json!(["303 'cm'"])),
            ("3 'm' - 3 'cm'", json!(["2.97 'm'"])),
            ("1 + 2 'cm'", json!(["3 'cm'"])),
            ("3 'm' + 3 's'", json!([])),
            ("(2 minutes + 60 seconds) = 3 minutes", json!([true])),
            ("60 's' + 2 minutes", json!(["180 's'"])),
            ("(1 week + 14 days) = 3 weeks", json!([true])),
            ("1 year + 12 months", json!([])),
            ("(1 year + 1 year) = 24 months", json!([true])),
            ("12 'cm' * 3 'cm'", json!(["36 'cm2'"])),
            ("10 'm/s' * 10 's'", json!(["100 'm'"])),
            ("3 * 2 'cm'", json!(["6 'cm'"])),
            ("12 'cm2' / 3 'cm'", json!(["4 'cm'"])),
            ("60 / 1 's'", json!(["60 '/s'"])),
            ("60 's' / 2", json!(["30 's'"])),
            ("12 days * 45 'm'", json!([])),
            ("1 'm' / 0", json!([])),
            ("-(5.5 'mg')", json!(["-5.5 'mg'"])),
            ("(-5.5 'mg').abs()", json!(["5.5 'mg'"])),
            ("(1.5 'mg').ceiling()", json!(["2 'mg'"])),
            ("(1.55 'mg').round(1)", json!(["1.6 'mg'"])),
            ("value.round()", json!(["2 'mg'"])),
            ("1 'm'.comparable(20 'cm')", json!([true])),
            ("1 'm'.comparable(20 's')", json!([false])),
            ("1.comparable(2)", json!([true])),
            ("1 year.comparable(1 'a')", json!([false])),
            ("value.comparable(1 'kg')", json!([true])),
            ("52 'cm'.toQuantity('m')", json!(["0.52 'm'"])),
            ("45.toQuantity('m')", json!(["45 'm'"])),
            ("24 'm'.toQuantity('kg')", json!([])),
            ("1 'a'.toQuantity('d')", json!(["365.25 'd'"])),
            ("182.5 days.toQuantity('a')", json!(["0.5 'a'"])),
            ("10 'Cel'.convertsToQuantity('[degF]')", json!([false])),
        ],
    );
    let of = |quantity: Value| {
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "effectiveDateTime": "2020-02-29", "valueQuantity": quantity })
        .to_string()
    };
    let ucum = "http://unitsofmeasure.org";
    check_all(
        &of(json!({ "value": 20, "unit": "years", "system": ucum, "code": "a" })),
        &[
            ("value > 18 years", json!([true])),
            ("value = 20 'a'", json!([true])),
            ("effective.ofType(dateTime) + value.ofType(Quantity)", json!(["2040-02-29"])),
        ],
    );
    check_all(
        &of(json!({ "value": 10, "comparator": "<", "unit": "mg", "system": ucum, "code": "mg" })),
        &[
            ("value > 5 'mg'", json!([])),
            ("value = 10 'mg'", json!([])),
            ("value.value > 5", json!([true])),
            ("value = value", json!([true])),
        ],
    );
    check_all(
        &of(json!({ "unit": "mg" })),
        &[("value > 5 'mg'", json!([])), ("value + 1", json!([]))],
    );
}

#[test]
fn numbers_of_any_length() {
    let long25 = "123456789012345678901234.5";
    let long30 = "1234567890123456789012345678.25";
    let long40 = "0.1234567890123456789012345678901234567891";
    let observation = |number: &str| {
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},
            "valueQuantity":{{"value":{number},"code":"mg"}},
            "component":[{{"code":{{"text":"y"}},"valueQuantity":{{"value":{number}0,"code":"mg"}}}}]}}"#
        )
    };
    check_all(
        &observation(long25),
        &[
            ("value.value", json!([long25])),
            ("value.value + 1", json!(["123456789012345678901235.5"])),
            ("value.value = 123456789012345678901234.50", json!([true])),
            ("value.value < 123456789012345678901234.6", json!([true])),
        ],
    );
    for long in [long30, long40] {
        check_all(
            &observation(long),
            &[
                ("value.value", json!([long])),
                ("value.value.toString()", json!([long])),
                ("value.value.hasValue()", json!([true])),
                ("value.value.getValue()", json!([long])),
                ("value.value = component.value.value", json!([true])),
                ("value = component.value", json!([true])),
                ("value.value = 5", json!([false])),
                ("value.value > 0.1234567890123456789", json!([true])),
                ("value.value < 0.1234567890123456789", json!([false])),
                ("value > 0.1234567890123456789 'mg'", json!([true])),
                ("(value.value | component.value.value).count()", json!([1])),
                ("value.value ~ component.value.value", json!([true])),
            ],
        );
        let why = "the number has more digits than can be calculated with (28)";
        for expression in [
            "value.value + 1",
            "value.value * 1",
            "-value.value",
            "value.value.abs()",
            "value.value.round(2)",
            "value + 1 'mg'",
            "value.value.lowBoundary()",
            "value.value.sum()",
            "value.value.toDecimal()",
            "value.value & 'x'",
        ] {
            let failed = values(&observation(long), expression).expect_err(expression);
            assert!(failed.starts_with(why), "{expression}: {failed}");
        }
    }
    check_all(&observation(long40), &[("value.value.precision()", json!([40]))]);
    check_all(
        &observation("1.0E-3"),
        &[
            ("value.value", json!(["1.0E-3"])),
            ("value.value = 0.001", json!([true])),
            ("value.value + 1", json!(["1.0010"])),
            ("value.value.precision()", json!([4])),
            ("value.value.lowBoundary()", json!(["0.00095"])),
        ],
    );
    check_all(
        &observation("1E30"),
        &[("value.value > 1", json!([true])), ("value.value = 1", json!([false]))],
    );
    check_all(
        &observation("12345678901234567890123456789012345E-30"),
        &[("value.value > 12345.678", json!([true])), ("value.value < 12345.679", json!([true]))],
    );
}

#[test]
fn what_is_no_number_does_not_take_the_text_of_one() {
    let resource =
        json!({ "resourceType": "Patient", "active": true, "id": "p", "multipleBirthInteger": 7,
        "name": [{ "family": "A" }], "telecom": [{ "rank": 1 }] })
        .to_string();
    check_all(
        &resource,
        &[
            ("(active | 'x')", json!(["true", "x"])),
            ("name.first().family", json!(["A"])),
            ("name.first().toString()", json!([])),
            ("telecom.rank.toString()", json!(["1"])),
        ],
    );
}

#[test]
fn math_by_the_text() {
    check_all(
        &patient(),
        &[
            ("5.5 div 0.7", json!([7])),
            ("5.5 mod 0.7", json!(["0.6"])),
            ("-7 mod 2", json!([-1])),
            ("-7.5 div 2", json!([-3])),
            ("5 div 0", json!([])),
            ("5 mod 0", json!([])),
            ("5.0 mod 0.0", json!([])),
            ("9223372036854775807 + 1", json!([])),
            ("9223372036854775807 * 2", json!([])),
            ("7922816251426433759354395033.5 * 100", json!([])),
            ("4 / 2", json!([2])),
            ("2 / 4", json!(["0.5"])),
            ("0 / 0", json!([])),
            ("1.round()", json!([1])),
            ("3.14159.round(3)", json!(["3.142"])),
            ("(-0.5).round()", json!(["-1"])),
            ("(-1.1).ceiling()", json!([-1])),
            ("(-2.1).floor()", json!([-3])),
            ("1.00000001.truncate()", json!([1])),
            ("2.power(3)", json!([8])),
            ("2.5.power(2)", json!(["6.25"])),
            ("2.power(-1)", json!(["0.5"])),
            ("(-1).power(0.5)", json!([])),
            ("4.power(0.5)", json!([2])),
            ("10.power(40)", json!([])),
            ("81.sqrt()", json!([9])),
            ("(-1).sqrt()", json!([])),
            ("0.exp()", json!([1])),
            ("1.ln()", json!([0])),
            ("16.log(2)", json!([4])),
            ("100.0.log(10.0)", json!([2])),
            ("1000.log(10)", json!([3])),
            ("(1.0).combine(2.0).combine(3.0).sum()", json!(["6.0"])),
            ("(1 | 2 | 3).sum()", json!([6])),
            ("(1.0 'mg' | 2.0 'mg').sum()", json!(["3.0 'mg'"])),
            ("(1 'g' | 500 'mg').sum()", json!(["1.5 'g'"])),
            ("(5.5 | 4.7 | 4.8).avg()", json!([5])),
            ("(1 | 2).avg()", json!(["1.5"])),
            ("(5.5 'cm' | 4.7 'cm' | 4.8 'cm').avg()", json!(["5 'cm'"])),
            ("(2 | 4 | 8 | 6).max()", json!([8])),
            ("(@2012-12-31 | @2013-01-01 | @2012-01-01).min()", json!(["2012-01-01"])),
            ("(@2012 | @2012-01).min()", json!([])),
            ("telecom.rank.sum()", json!([3])),
            ("telecom.value.max()", json!(["a@b.org"])),
        ],
    );
    fails(&[
        ("1.5.round(-1)", "`round()` takes a number of digits from 0"),
        ("0.ln()", "only numbers above zero have a logarithm"),
        ("2.log(0)", "only numbers above zero have a logarithm"),
        ("5.5 'mg' mod 2", "these types cannot be combined by this operator"),
        ("(1 | 2.0).sum()", "the values must all be of one type"),
        ("('a' | 'b').sum()", "only numbers and quantities have a sum"),
        ("name.first() + 'x'", "a simple value is wanted here, not one with elements"),
        ("@2020-01-01 + 1", "these types cannot be combined by this operator"),
        (
            "@2020-01-01 + 1 'a'",
            "`a` and `mo` have no place in a calendar; `year` and `month` have",
        ),
    ]);
}

#[test]
fn strings_by_the_text() {
    check_all(
        &patient(),
        &[
            ("'abcdefg'.indexOf('')", json!([0])),
            ("'0123'.lastIndexOf('')", json!([4])),
            ("'abc abc'.lastIndexOf('a')", json!([4])),
            ("'abcdefg'.substring(6, 2)", json!(["g"])),
            ("'abcdefg'.substring(7, 1)", json!([])),
            ("'abcdefg'.substring(3, 0)", json!([""])),
            ("'abcdefg'.substring(3, -1)", json!([""])),
            ("'abcdefg'.substring(-1, -1)", json!([])),
            ("'abc'.contains('')", json!([true])),
            ("'abcdefg'.replace('cde', '')", json!(["abfg"])),
            ("'a🔥c'.replace('', 'x')", json!(["xax🔥xcx"])),
            ("'http://fhir.org/Library/x'.matches('Library')", json!([true])),
            ("'http://fhir.org/Library/x'.matchesFull('Library')", json!([false])),
            ("'N8000123123'.matchesFull('N[0-9]{10}')", json!([true])),
            ("'ab'.matchesFull('a|ab')", json!([true])),
            ("'first\\nsecond'.matches('^second')", json!([false])),
            ("'first\\nsecond'.matches('^second', 'm')", json!([true])),
            ("'first\\nsecond'.matches('^SECOND', 'im')", json!([true])),
            ("'abc'.replaceMatches('', 'x')", json!(["abc"])),
            ("'aaabaa'.replaceMatches('aa', '\"aa\"')", json!(["\"aa\"ab\"aa\""])),
            ("'ab'.replaceMatches('(a)(b)', '$2_$1x')", json!(["b_ax"])),
            (
                "'11/30/1972'.replaceMatches('\\\\b(?<month>\\\\d{1,2})/(?<day>\\\\d{1,2})/(?<year>\\\\d{2,4})\\\\b', '${day}-${month}-${year}')",
                json!(["30-11-1972"]),
            ),
            ("'A,,C'.split(',')", json!(["A", "", "C"])),
            ("'ABC'.split(',')", json!(["ABC"])),
            ("'abc'.split('')", json!(["a", "b", "c"])),
            ("(' \\t\\r\\n1\\u00a0').trim()", json!(["1\u{a0}"])),
            ("('A' | 'B').join()", json!(["AB"])),
            ("'a' & {} & 'b'", json!(["ab"])),
            ("'a' + {} + 'b'", json!([])),
            ("'test'.encode('base64')", json!(["dGVzdA=="])),
            ("'dGVzdA=='.decode('base64')", json!(["test"])),
            ("'subjects?_d'.encode('urlbase64')", json!(["c3ViamVjdHM_X2Q="])),
            ("'a?>~'.encode('urlbase64').decode('urlbase64')", json!(["a?>~"])),
            ("'test'.encode('hex')", json!(["74657374"])),
            ("'74657374'.decode('hex')", json!(["test"])),
            ("'7'.decode('hex')", json!([])),
            ("'!!'.decode('base64')", json!([])),
            ("'ü'.encode('ascii')", json!(["?"])),
            ("'A&B'.escape('html')", json!(["A&amp;B"])),
            ("'\"1<2\"'.escape('json')", json!(["\\\"1<2\\\""])),
            ("'&quot;1&lt;2&quot;'.unescape('html')", json!(["\"1<2\""])),
            ("'\\\\\"1<2\\\\\"'.unescape('json')", json!(["\"1<2\""])),
        ],
    );
    fails(&[
        ("'a'.matches('a', 'x')", "the flags of a pattern are `i` and `m`"),
        ("'a'.encode('rot13')", "the formats are `hex`, `base64`, `urlbase64` and `ascii`"),
        ("'a' + 1", "these types cannot be combined by this operator"),
    ]);
}

#[test]
fn conversions_by_the_text() {
    check_all(
        &patient(),
        &[
            ("'+5'.toInteger()", json!([5])),
            ("'-5'.toInteger()", json!([-5])),
            ("' 5'.toInteger()", json!([])),
            ("'1.0'.convertsToInteger()", json!([false])),
            ("1.0.toInteger()", json!([])),
            ("'9999999999'.toLong()", json!([9_999_999_999_i64])),
            ("'x'.convertsToLong()", json!([false])),
            ("'+1.50'.toDecimal()", json!(["1.50"])),
            ("'1e3'.toDecimal()", json!([])),
            ("'1_000'.toDecimal()", json!([])),
            ("'.5'.toDecimal()", json!([])),
            ("'5.'.toDecimal()", json!([])),
            ("true.toDecimal()", json!([1])),
            ("'T'.toBoolean()", json!([true])),
            ("'1.0'.toBoolean()", json!([true])),
            ("1.0.toBoolean()", json!([true])),
            ("'tru'.toBoolean()", json!([])),
            ("@2024-01-15T23:30:00-05:00.toDate()", json!(["2024-01-15"])),
            ("@2024-01T.toDate()", json!(["2024-01"])),
            ("'2024-01-15T23:30:00-05:00'.toDate()", json!([])),
            ("'2024-01'.toDate()", json!(["2024-01"])),
            ("'2024-02-30'.convertsToDate()", json!([false])),
            ("@2020-05-17.toDateTime() is DateTime", json!([true])),
            ("'2012-01-01T10:00'.toDateTime()", json!(["2012-01-01T10:00"])),
            ("'14:34:28'.toTime()", json!(["14:34:28"])),
            ("'T14:34:28'.toTime()", json!([])),
            ("'25:00'.toTime()", json!([])),
            ("'4 days'.toQuantity() = 4 days", json!([true])),
            ("'1 day'.toQuantity().toString()", json!(["1 day"])),
            ("'4 \\'mg\\''.toQuantity()", json!(["4 'mg'"])),
            ("'4\\'mg\\''.toQuantity()", json!(["4 'mg'"])),
            ("'10 \\'mm[Hg]\\''.convertsToQuantity()", json!([true])),
            ("'-4.5'.toQuantity()", json!(["-4.5 '1'"])),
            ("'1 wk'.convertsToQuantity()", json!([false])),
            ("'1 \\'wk\\''.convertsToQuantity()", json!([true])),
            ("'four days'.convertsToQuantity()", json!([false])),
            ("'4 \\'mg'.convertsToQuantity()", json!([false])),
            ("'4 days and more'.convertsToQuantity()", json!([false])),
            ("'1.5.2 \\'mg\\''.convertsToQuantity()", json!([false])),
            ("true.toQuantity()", json!(["1.0 '1'"])),
            ("name.first().convertsToString()", json!([false])),
            ("name.first().toString()", json!([])),
            ("@T11:45.toString()", json!(["11:45"])),
            ("(1 | 2).first().convertsToDecimal()", json!([true])),
        ],
    );
    fails(&[("(1 | 2).toString()", "a single value is wanted here, there are several")]);
}

#[test]
fn boundaries_of_a_precision() {
    check_all(
        &observation(),
        &[
            ("1.587.lowBoundary()", json!(["1.5865"])),
            ("1.587.lowBoundary(6)", json!(["1.586500"])),
            ("1.587.lowBoundary(2)", json!(["1.58"])),
            ("1.587.lowBoundary(0)", json!(["1"])),
            ("(-1.587).lowBoundary(6)", json!(["-1.587500"])),
            ("(-1.587).lowBoundary(2)", json!(["-1.59"])),
            ("(-1.587).lowBoundary(0)", json!(["-2"])),
            ("1.587.lowBoundary(-1)", json!([])),
            ("1.587.lowBoundary(39)", json!([])),
            ("1.587.highBoundary(6)", json!(["1.587500"])),
            ("1.587.highBoundary(2)", json!(["1.59"])),
            ("1.587.highBoundary(0)", json!(["2"])),
            ("(-1.587).highBoundary(2)", json!(["-1.58"])),
            ("(-1.587).highBoundary(0)", json!(["-1"])),
            ("1.highBoundary()", json!(["1.5"])),
            ("value.lowBoundary()", json!(["1.495 'mg'"])),
            ("value.highBoundary(1)", json!(["1.6 'mg'"])),
            ("value.value.highBoundary(3)", json!(["1.505"])),
            ("@2014.lowBoundary(6)", json!(["2014-01"])),
            ("@2014.highBoundary(6)", json!(["2014-12"])),
            ("@2014.highBoundary(9)", json!([])),
            ("@2014-01-01T08.lowBoundary(17)", json!(["2014-01-01T08:00:00.000"])),
            ("@2014-01-01T08.highBoundary(17)", json!(["2014-01-01T08:59:59.999"])),
            ("@T10:30.lowBoundary(9)", json!(["10:30:00.000"])),
            ("@T10:30.highBoundary(9)", json!(["10:30:59.999"])),
            ("issued.highBoundary()", json!(["2020-05-17T08:00:00.000Z"])),
            ("effective.ofType(dateTime).lowBoundary()", json!(["2020-05-17T10:00:00.000+02:00"])),
            ("1.58700.precision()", json!([5])),
            ("100.precision()", json!([0])),
            ("value.value.precision()", json!([2])),
            ("@2014.precision()", json!([4])),
            ("@2014-01-05T10:30:00.000.precision()", json!([17])),
            ("@T10:30.precision()", json!([4])),
            ("@T10:30:00.000.precision()", json!([9])),
            ("'a'.precision()", json!([])),
            ("code.lowBoundary().exists()", json!([false])),
        ],
    );
    let period = |period: Value| {
        json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" }, "period": period })
            .to_string()
    };
    check_all(
        &period(json!({ "start": "2020-01", "end": "2020-02-01T10:00:00Z" })),
        &[
            ("period.lowBoundary()", json!(["2020-01-01T00:00:00.000+14:00"])),
            ("period.highBoundary()", json!(["2020-02-01T10:00:00.999Z"])),
            ("period.lowBoundary(8)", json!(["2020-01-01"])),
        ],
    );
    check_all(
        &period(json!({ "start": "2020-01" })),
        &[("period.highBoundary()", json!([])), ("period.lowBoundary().exists()", json!([true]))],
    );
}

#[test]
fn components_tree_and_utilities() {
    check_all(
        &observation(),
        &[
            ("@2014-01-05T10:30:00.000.yearOf()", json!([2014])),
            ("@2014-01-05T10:30:00.000.monthOf()", json!([1])),
            ("@2012.monthOf()", json!([])),
            ("@2014-01-05.dayOf()", json!([5])),
            ("@2014-01-05.hourOf()", json!([])),
            ("@2012-01-01T16:30:40.002-07:00.hourOf()", json!([16])),
            ("@T12:30.minuteOf()", json!([30])),
            ("@T12:30.yearOf()", json!([])),
            ("effective.ofType(dateTime).secondOf()", json!([0])),
            ("@2012-01-01T12:30:00.002-07:00.millisecondOf()", json!([2])),
            ("@2012-01-01T12:30:00.millisecondOf()", json!([])),
            ("@2012-01-01T12:30:00.000+08:45.timezoneOffsetOf()", json!(["8.75"])),
            ("@2012-01-01T12:30:00.timezoneOffsetOf()", json!([])),
            ("@2012-01-01T12:30:00.000-07:00.dateOf()", json!(["2012-01-01"])),
            ("@2012-01-01T12:30:00.000-07:00.timeOf()", json!(["12:30:00.000"])),
            ("@2012-01-01.timeOf()", json!([])),
            ("'x'.yearOf()", json!([])),
            ("timeOfDay()", json!(["00:00:00"])),
            ("now() = now()", json!([true])),
            ("component[1].children().count()", json!([2])),
            ("code.coding.children().ofType(code)", json!(["8480-6", "271649006"])),
            (
                "code.descendants().ofType(uri)",
                json!(["http://loinc.org", "http://snomed.info/sct"]),
            ),
            ("descendants().ofType(Quantity).value", json!([2, "1.50"])),
            ("component.trace('c', code).count()", json!([3])),
            ("coalesce(value.ofType(string), status, 'x')", json!(["final"])),
            ("coalesce({}, {})", json!([])),
            ("component.count().combine(3, true)", json!([3, 3])),
            ("(1 | 2 | 3).aggregate($total + $this, component.count())", json!([9])),
            ("component.repeat(code | value).count()", json!([8])),
            ("(1).combine(1).repeatAll(iif($this < 3, $this + 1))", json!([2, 3, 2, 3])),
            ("(1).combine(1).repeat(iif($this < 3, $this + 1))", json!([2, 3])),
            ("value as Quantity > 1 'mg'", json!([true])),
        ],
    );
    let absent = json!({ "resourceType": "Patient", "id": "p", "active": true,
        "_gender": { "id": "g", "extension": [{ "url": "u", "valueCode": "unknown" }] } })
    .to_string();
    let twice = r#"{"resourceType":"Patient","id":"p","active":true,"id":"q"}"#;
    check_all(twice, &[("children().count()", json!([2])), ("children().first()", json!([true]))]);
    check_all(
        &absent,
        &[
            ("children().count()", json!([3])),
            ("active.toString()", json!(["true"])),
            ("gender.children().count()", json!([2])),
            ("descendants().ofType(code).where(hasValue())", json!(["unknown"])),
        ],
    );
    fails(&[
        ("(1).repeat($this + 1)", "`repeat` finds new values without end"),
        ("'a'.repeatAll($this.combine($this))", "`repeat` finds new values without end"),
    ]);
}

#[test]
fn date_arithmetic() {
    check_all(
        &patient(),
        &[
            ("@2020-02-29 + 1 year", json!(["2021-02-28"])),
            ("@2019-03-01 - 24 months", json!(["2017-03-01"])),
            ("@1973-12-25 + 7.9 days", json!(["1974-01-01"])),
            ("@2014 + 23 months", json!(["2015"])),
            ("@2020 + 1 day", json!(["2020"])),
            ("@2026-02 + 5 weeks", json!(["2026-03"])),
            ("@T23:30:00 + 1 hour", json!(["00:30:00"])),
            (
                "@1973-12-25T00:00:00.000+10:00 + 42.53 seconds",
                json!(["1973-12-25T00:00:42.530+10:00"]),
            ),
            ("@1973-12-25 + 1 'd'", json!(["1973-12-26"])),
            ("birthDate + 1 month", json!(["1975-01"])),
            ("today() - 18 years < @2020", json!([true])),
        ],
    );
    fails(&[
        ("@9999 + 1 year", "the result is outside of the years 1 to 9999"),
        (
            "@2020-01-01 + 1 hour",
            "this unit of time cannot be added to this type: dates take years to days, times take hours to milliseconds",
        ),
        ("@2020-01-01 + 1 'mg'", "only an amount of time can be added to a date or time"),
    ]);
}

#[test]
fn comparisons_that_never_hold_are_refused_or_doubted_at_load() {
    let convert = "name the element that is meant, or convert one side (`toString()`, `toDate()`, `toDecimal()`)";
    let cases = [
        (
            "birthDate < '2020-01-01'",
            "`date` and `String` have no order",
            "write `@2020-01-01`, without quotes",
        ),
        (
            "'2020' >= birthDate",
            "`String` and `date` have no order",
            "write `@2020`, without quotes",
        ),
        ("gender < 1", "`code` and `Integer` have no order", convert),
        (
            "telecom.first().rank > '1'",
            "`positiveInt` and `String` have no order",
            "write `1`, without quotes",
        ),
        ("active > true", "`boolean` and `Boolean` have no order", convert),
        ("name.first() < 'x'", "`HumanName` and `String` have no order", convert),
    ];
    for (expression, message, hint) in cases {
        refused(expression, message, expression, hint);
    }
    for (expression, message, hint) in [
        (
            "birthDate = '2020-01-01'",
            "`date` and `String` are never equal",
            "write `@2020-01-01`, without quotes",
        ),
        (
            "active = 'true'",
            "`boolean` and `String` are never equal",
            "write `true`, without quotes",
        ),
        ("name.first() != 'x'", "`HumanName` and `String` are never equal", convert),
        (
            "gender = 'a\\d'",
            "`\\d` is no escape: the backslash is dropped",
            "write `\\\\d` for a backslash",
        ),
    ] {
        let column = json!({ "name": "v", "path": expression });
        let view_of = json!({ "resource": "Patient", "select": [{ "column": [column] }] });
        let (_, doubts) = kiln::flatten::View::compile(&view_of).unwrap();
        let [doubt] = doubts.as_slice() else { panic!("{expression}: {doubts:#?}") };
        assert_eq!((doubt.message.as_str(), doubt.hint.as_deref()), (message, Some(hint)));
    }
    for fine in
        ["multipleBirth = 2", "multipleBirth < 3", "deceased < @2020-01-01", "contact = name"]
    {
        let (_, doubts) = kiln::flatten::View::compile(
            &json!({ "resource": "Patient", "select": [{ "column": [{ "name": "v", "path": fine }] }] }),
        )
        .unwrap();
        assert!(doubts.is_empty(), "{fine}: {doubts:#?}");
    }
    assert!(view("Patient", "$this = 1").is_ok());
}

#[test]
fn functions_of_other_engines_are_refused_with_what_to_do_instead() {
    for (expression, name, hint) in [
        (
            "gender.memberOf('http://x')",
            "memberOf",
            "select the code, and join it in SQL with a table of the value set's codes",
        ),
        (
            "gender.translate('http://x')",
            "translate",
            "select the code, and join it in SQL with a table of the concept map",
        ),
        (
            "conformsTo('http://x')",
            "conformsTo",
            "compare `meta.profile`, or say `profile` in the view",
        ),
        ("name.sort()", "sort", "order the rows in SQL"),
        ("gender.type()", "type", "ask with `is`, or keep what is wanted with `ofType()`"),
    ] {
        refused(expression, &format!("there is no function `{name}()`"), name, hint);
    }
}
