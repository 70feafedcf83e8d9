//! Mutations that know the language of an input. Flipping bytes alone rarely leaves JSON that can be read, or an
//! expression that can be compiled, and what lies behind the parsers would hardly be reached.

use serde_json::Value;

/// Changes an input in place and gives its new size: by `mutation`, or every third time byte by byte.
pub fn bytes(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    mutation: fn(&[u8], &mut Random) -> Vec<u8>,
) -> usize {
    let mut random = Random(u64::from(seed));
    if random.below(3) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut changed = data[..size].to_vec();
    for _ in 0..=random.below(3) {
        changed = mutation(&changed, &mut random);
    }
    if changed.len() > max_size {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
}

/// Numbers from a seed (SplitMix64).
pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'t, T: ?Sized>(&mut self, list: &[&'t T]) -> &'t T {
        list[self.below(list.len())]
    }
}

/// Expressions that have no parts.
#[rustfmt::skip]
const ATOMS: &[&str] = &[
    "name", "given", "family", "id", "value", "code", "item", "component", "extension",
    "contained", "telecom", "birthDate", "effective", "issued", "answer", "period.start",
    "valueQuantity", "Patient.name", "multipleBirth", "generalPractitioner", "subject", "$this",
    "$index", "$total", "%n", "%s", "%t", "%resource", "%context", "%rowIndex", "{}", "true",
    "false", "''", "'a,b'", "'🦀é'", "'\\u00e9\\n'", "0", "1", "-1", "9223372036854775807",
    "9223372036854775808", "79228162514264337593543950335", "0.0000000000000000000000000001",
    "1.5", "0.0", "(1 | 2.0)", "@2024-02-29", "@0001", "@9999-12-31",
    "@2024-02-29T23:59:60.999+14:00", "@T23:59:60", "@2024T", "1 year",
    "9223372036854775807 months", "4 'mg'", "1 millisecond", "100000000000 'wk'", "`id`", "now()",
    "today()", "timeOfDay()", "4.5 '10*3/uL'", "1 'm2'", "1 '[degF]'", "%`n`", "'(a)|(b*)'",
    "'$1$0'",
];

/// Expressions that have: `E` stands for an expression, `#` for a type.
#[rustfmt::skip]
const FORMS: &[&str] = &[
    "(E)", "-E", "E[E]", "E + E", "E - E", "E * E", "E / E", "E div E", "E mod E", "E & E",
    "E | E", "E = E", "E ~ E", "E != E", "E < E", "E >= E", "E in E", "E contains E", "E and E",
    "E or E", "E xor E", "E implies E", "E is #", "E as #", "E.ofType(#)", "E.is(#)", "E.as(#)",
    "E.where(E)", "E.select(E)", "E.repeat(E)", "E.aggregate(E)", "E.aggregate(E, E)", "E.all(E)",
    "E.exists(E)", "E.exists()", "E.empty()", "E.not()", "E.allTrue()", "E.anyFalse()",
    "E.subsetOf(E)", "E.supersetOf(E)", "E.count()", "E.distinct()", "E.isDistinct()",
    "E.first()", "E.last()", "E.tail()", "E.single()", "E.skip(E)", "E.take(E)", "E.intersect(E)",
    "E.exclude(E)", "E.union(E)", "E.combine(E)", "E.toString()", "E.toInteger()",
    "E.toDecimal()", "E.toBoolean()", "E.toDate()", "E.toDateTime()", "E.toTime()",
    "E.toQuantity()", "E.convertsToQuantity()", "E.convertsToDate()", "E.join(E)",
    "E.contains(E)", "E.startsWith(E)", "E.indexOf(E)", "E.lastIndexOf(E)", "E.substring(E)",
    "E.substring(E, E)", "E.upper()", "E.trim()", "E.length()", "E.split(E)", "E.replace(E, E)",
    "E.matches(E)", "E.replaceMatches(E, E)", "E.toChars()", "E.abs()", "E.ceiling()",
    "E.floor()", "E.truncate()", "E.round()", "E.round(E)", "iif(E, E, E)", "E.iif(E, E)",
    "E.lowBoundary()", "E.highBoundary()", "E.extension('http://e/x')", "E.hasValue()",
    "E.getValue()", "E.getResourceKey()", "E.getReferenceKey()", "E.getReferenceKey(#)",
    "E.resolve()", "E.sum()", "E.min()", "E.avg()", "E.children()", "E.descendants()",
    "E.repeatAll(E)", "E.power(E)", "E.sqrt()", "E.ln()", "E.log(E)", "E.exp()", "E.precision()",
    "E.lowBoundary(E)", "E.highBoundary(E)", "E.encode('base64')", "E.decode('base64')",
    "E.encode('hex')", "E.decode('urlbase64')", "E.escape('html')", "E.unescape('json')",
    "E.yearOf()", "E.timeOf()", "E.timezoneOffsetOf()", "coalesce(E, E)", "E.matchesFull(E)",
    "E.matches(E, 'im')", "E.toQuantity('km/h')", "E // c\n", "/* c */ E", "E.E",
];

#[rustfmt::skip]
const TYPES: &[&str] = &[
    "Patient", "string", "String", "FHIR.Quantity", "System.Integer", "Period", "dateTime",
    "integer", "decimal", "Resource", "Element", "HumanName", "Age", "Extension", "boolean",
];

/// A new expression, nested up to `depth`.
fn grown(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return random.of(ATOMS).to_owned();
    }
    let mut text = String::new();
    for c in random.of(FORMS).chars() {
        match c {
            'E' => text.push_str(&grown(random, depth - 1)),
            '#' => text.push_str(random.of(TYPES)),
            c => text.push(c),
        }
    }
    text
}

/// Where tokens begin, more or less.
fn boundaries(text: &str) -> Vec<usize> {
    let mut found = vec![0];
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        if !(c.is_alphanumeric() && last.is_alphanumeric()) {
            found.push(at);
        }
        last = c;
    }
    found.push(text.len());
    found
}

/// Changes an expression between tokens: grows, cuts, repeats, wraps.
pub fn expression(data: &[u8], random: &mut Random) -> Vec<u8> {
    let text = String::from_utf8_lossy(data);
    let places = boundaries(&text);
    let (a, b) = (random.below(places.len()), random.below(places.len()));
    let (from, to) = (places[a.min(b)], places[a.max(b)]);
    let (head, part, tail) = (&text[..from], &text[from..to], &text[to..]);
    let depth = random.below(3);
    match random.below(10) {
        0 => grown(random, depth),
        1 => format!("{text}{}", grown(random, depth)),
        2 => format!("{head}{tail}"),
        3 => format!("{head}{part}{part}{tail}"),
        4 => format!("{head}({part}){tail}"),
        5 | 6 => format!("{head}{}{part}{tail}", grown(random, depth)),
        7 => format!("{head}{}{tail}", grown(random, depth)),
        // The whole in the place of an `E`.
        _ => random.of(FORMS).replacen('E', &text, 1).replace('#', random.of(TYPES)),
    }
    .into_bytes()
}

/// Views to take parts from.
const SHIPPED: [&str; 3] = [
    include_str!("../../../schemas/us-core/patient_address.json"),
    include_str!("../../../schemas/us-core/observation_component.json"),
    include_str!("../../../schemas/us-core/condition.json"),
];

#[rustfmt::skip]
const KEYS: [&str; 25] = [
    "select", "column", "unionAll", "forEach", "forEachOrNull", "repeat", "where", "constant",
    "name", "path", "type", "collection", "tag", "value", "resource", "resourceType",
    "description", "valueInteger", "valueDate", "valueé", "valueDecimal", "valueCode", "id",
    "_name", "value",
];

#[rustfmt::skip]
const VALUES: [&str; 18] = [
    "null", "true", "[]", "{}", "7", "-1e400", "\"\"", "\"ansi/type\"", "\"DECIMAL(38,38)\"",
    "\"DECIMAL(0)\"", "\"TIMESTAMP WITH TIME ZONE\"", "\"integer\"", "\"Patient\"",
    "\"Observation\"", "[\"item\",\"answer.item\"]", "[\"$this\"]", "\"2020-02-30\"",
    "{\"name\":\"c\",\"path\":\"id\",\"collection\":true}",
];

/// Changes a view as a tree; what is no JSON is replaced by a shipped view.
pub fn view(data: &[u8], random: &mut Random) -> Vec<u8> {
    let shipped = || SHIPPED.map(|text| serde_json::from_str::<Value>(text).unwrap_or_default());
    let mut json = serde_json::from_slice(data).unwrap_or_else(|_| {
        let mut view = shipped()[random.below(SHIPPED.len())].clone();
        // Few columns: the input is to stay small.
        for select in view["select"].as_array_mut().into_iter().flatten() {
            if let Some(columns) = select["column"].as_array_mut() {
                let from = random.below(columns.len().max(1));
                columns.rotate_left(from);
                columns.truncate(2);
            }
        }
        view
    });
    let donor = if random.below(4) == 0 {
        shipped()[random.below(SHIPPED.len())].clone()
    } else {
        json.clone()
    };
    let donor = node(&mut donor.clone(), random).clone();
    change(node(&mut json, random), donor, random);
    json.to_string().into_bytes()
}

/// A node of the tree: the way down ends anywhere.
fn node<'j>(json: &'j mut Value, random: &mut Random) -> &'j mut Value {
    let len = match &*json {
        Value::Array(list) => list.len(),
        Value::Object(object) => object.len(),
        _ => 0,
    };
    if len == 0 || random.below(6) == 0 {
        return json;
    }
    let nth = random.below(len);
    let child = match json {
        Value::Array(list) => list.get_mut(nth),
        Value::Object(object) => object.values_mut().nth(nth),
        _ => None,
    };
    node(child.expect("there are as many"), random)
}

fn change(json: &mut Value, donor: Value, random: &mut Random) {
    let constant = serde_json::from_str(random.of(&VALUES)).unwrap_or_default();
    match json {
        Value::String(text) if random.below(4) > 0 => {
            *text = String::from_utf8_lossy(&expression(text.as_bytes(), random)).into_owned();
        }
        Value::Array(list) if random.below(4) > 0 => match random.below(3) {
            0 => list.push(donor),
            1 => drop(list.pop()),
            _ => list.extend_from_within(..list.len().min(1)),
        },
        Value::Object(object) if random.below(4) > 0 => {
            let key = random.of(&KEYS);
            match random.below(4) {
                0 => drop(object.insert(key.to_owned(), donor)),
                1 => drop(object.insert(key.to_owned(), constant)),
                2 => drop(object.insert(key.to_owned(), Value::Array(vec![donor]))),
                _ => drop(object.remove(key)),
            }
        }
        _ => *json = if random.below(2) == 0 { donor } else { constant },
    }
}

/// What lines are made of.
#[rustfmt::skip]
const LINES: &[&[u8]] = &[
    b"\n", b"\r\n", b"\r", b"\n\n", b" \t\r", b"\xef\xbb\xbf", b"\0", b"\xff", "\u{2028}".as_bytes(),
    br#"{"resourceType":"Patient","id":"1"}"#, br#"{"resourceType":"A"}"#, br#""resourceType":"B","#,
    br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"A"}},{},7]}"#, b"[", b"]",
    b"{", b"}", b"\"", b"\\", br#""x":1.50e-3,"#, br#""x":-0,"#, br#""x":[1,[2,{"y":3}],""],"#,
    br#""\ud83d\ude00\ud800","#, br#""x":123456789012345678901234567890,"#, b"null", b"1e999", b",", b":",
    br#"{"resourceType":"A","x":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
    b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x28\xb5\x2f\xfd", br#""\u0000\"\/","#,
];

/// Changes lines: puts pieces in, cuts and repeats.
pub fn lines(data: &[u8], random: &mut Random) -> Vec<u8> {
    let (a, b) = (random.below(data.len() + 1), random.below(data.len() + 1));
    let (head, rest) = data.split_at(a.min(b));
    let (part, tail) = rest.split_at(a.abs_diff(b));
    let piece = LINES[random.below(LINES.len())];
    match random.below(5) {
        0 => [head, tail].concat(),
        1 => [head, part, part, tail].concat(),
        2 => [data, piece].concat(),
        _ => [head, piece, part, tail].concat(),
    }
}
