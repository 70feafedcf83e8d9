//! What happens to the population from one night to the next.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::draws::Draws;
use super::population::{Key, Population, When, patient_of};

/// More patients are not born.
const MOST_PATIENTS: usize = 28;
/// The longest that a transaction is open: what is changed then is seen so much later.
pub(super) const LONGEST_OPEN: SignedDuration = SignedDuration::from_mins(10);

/// What happens, drawn.
pub(super) struct Life {
    draws: Draws,
    /// Numbers of resources so far.
    born: usize,
    /// Members to whom something was moved, and when. They do not leave before that was exported: afterwards no export
    /// would tell that it is not the former patient's any more.
    received: BTreeMap<String, Timestamp>,
    /// What references begin with where they are absolute.
    base: String,
}

impl Life {
    pub(super) fn new(draws: Draws, base: &str) -> Self {
        Self { draws, born: 0, received: BTreeMap::new(), base: base.to_owned() }
    }

    /// The first patients.
    pub(super) fn begin(&mut self, population: &mut Population, patients: usize, at: Timestamp) {
        for _ in 0..patients {
            self.birth(population, When::at(at));
        }
    }

    /// All that happens between two instants.
    pub(super) fn go_on(&mut self, population: &mut Population, from: Timestamp, to: Timestamp) {
        let quiet = self.draws.percent(12);
        let changes = if quiet { 0 } else { self.draws.below(9) };
        let between = usize::try_from((to - from).get_seconds()).unwrap() * 1000;
        let mut offsets: Vec<_> = (0..changes).map(|_| self.draws.below(between)).collect();
        // Some follow an export closely: the server may say that it had them already.
        if let Some(first) = offsets.first_mut().filter(|_| self.draws.percent(50)) {
            *first = self.draws.below(20_000).min(between - 1);
        }
        offsets.sort_unstable();
        for offset in offsets {
            let offset = SignedDuration::from_millis(i64::try_from(offset).unwrap());
            self.change(population, When::at(from + offset));
        }
        if !quiet && self.draws.percent(25) {
            let seconds = 1 + self.draws.below(LONGEST_OPEN.as_secs() as usize - 60);
            let updated = to - SignedDuration::from_secs(seconds as i64);
            let visible = to + SignedDuration::from_secs(60);
            self.revise(population, "Observation", When { updated, visible });
        }
    }

    /// What was moved before `instant` has been exported.
    pub(super) fn exported(&mut self, instant: Timestamp) {
        self.received.retain(|_, at| *at >= instant);
    }

    fn change(&mut self, population: &mut Population, when: When) {
        match self.draws.below(100) {
            0..4 => self.birth(population, when),
            4..16 => self.revise(population, "Patient", when),
            16..31 => self.add(population, when),
            31..55 => self.revise(population, "Observation", when),
            55..66 => self.revise(population, "Condition", when),
            66..77 => self.delete(population, when),
            77..80 => self.death(population, when),
            80..88 => self.resurrect(population, when),
            88..92 => self.leave(population),
            92..96 => self.join(population),
            _ => self.move_one(population, when),
        }
    }

    /// A patient with conditions and observations.
    fn birth(&mut self, population: &mut Population, when: When) {
        if population.keys("Patient", false).len() >= MOST_PATIENTS {
            return;
        }
        let id = self.new_id("p");
        population.put(self.patient(&id), when);
        population.set_member(&id, self.draws.percent(75));
        for _ in 0..=self.draws.below(5) {
            let child = self.child(&id);
            population.put(child, when);
        }
    }

    /// Another version of what is there.
    fn revise(&mut self, population: &mut Population, kind: &str, when: When) {
        let Some((kind, id)) = self.one_of(&population.keys(kind, false)) else { return };
        let patient = patient_of(population.latest(&kind, &id).unwrap()).to_owned();
        let resource = self.resource(&kind, &id, &patient);
        population.put(resource, when);
    }

    fn add(&mut self, population: &mut Population, when: When) {
        let Some((_, patient)) = self.one_of(&population.keys("Patient", false)) else { return };
        let child = self.child(&patient);
        population.put(child, when);
    }

    fn delete(&mut self, population: &mut Population, when: When) {
        let kind = *self.draws.pick(&["Condition", "Observation"]);
        if let Some(key) = self.one_of(&population.keys(kind, false)) {
            population.delete(&key, when);
        }
    }

    fn death(&mut self, population: &mut Population, when: When) {
        if let Some(key) = self.one_of(&population.keys("Patient", false)) {
            population.delete(&key, when);
        }
    }

    /// What was deleted comes back under its id.
    fn resurrect(&mut self, population: &mut Population, when: When) {
        let kind = *self.draws.pick(&["Patient", "Condition", "Observation", "Observation"]);
        let Some(key) = self.one_of(&population.keys(kind, true)) else { return };
        let patient = patient_of(population.last_content(&key).unwrap()).to_owned();
        if kind == "Patient" || population.latest("Patient", &patient).is_some() {
            let resource = self.resource(kind, &key.1, &patient);
            population.put(resource, when);
        }
    }

    fn leave(&mut self, population: &mut Population) {
        let leaving = Self::patients(population, true);
        let mut leaving = leaving.into_iter().filter(|(_, id)| !self.received.contains_key(id));
        let leaving: Vec<_> = leaving.by_ref().collect();
        if let Some((_, id)) = self.one_of(&leaving) {
            population.set_member(&id, false);
        }
    }

    fn join(&mut self, population: &mut Population) {
        let joining = Self::patients(population, false);
        if let Some((_, id)) = self.one_of(&joining) {
            population.set_member(&id, true);
        }
    }

    /// What was another's becomes a member's.
    fn move_one(&mut self, population: &mut Population, when: When) {
        let kind = *self.draws.pick(&["Condition", "Observation"]);
        let receivers = Self::patients(population, true);
        let moved = self.one_of(&population.keys(kind, false));
        if let (Some((kind, id)), Some((_, patient))) = (moved, self.one_of(&receivers)) {
            self.received.insert(patient.clone(), when.updated);
            let resource = self.resource(&kind, &id, &patient);
            population.put(resource, when);
        }
    }

    fn patients(population: &Population, members: bool) -> Vec<Key> {
        let mut patients = population.keys("Patient", false);
        patients.retain(|(_, id)| population.is_member(id) == members);
        patients
    }

    fn one_of(&mut self, keys: &[Key]) -> Option<Key> {
        (!keys.is_empty()).then(|| self.draws.pick(keys).clone())
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.born += 1;
        format!("{prefix}{}", self.born)
    }

    fn child(&mut self, patient: &str) -> Value {
        let (kind, prefix) = *self.draws.pick(&[("Condition", "c"), ("Observation", "o")]);
        let id = self.new_id(prefix);
        self.resource(kind, &id, patient)
    }

    fn resource(&mut self, kind: &str, id: &str, patient: &str) -> Value {
        match kind {
            "Patient" => self.patient(id),
            "Condition" => self.condition(id, patient),
            _ => self.observation(id, patient),
        }
    }

    fn patient(&mut self, id: &str) -> Value {
        json!({
            "resourceType": "Patient",
            "id": id,
            "active": self.draws.percent(80),
            "name": [{ "family": format!("Family{}", self.draws.below(1000)) }],
            "birthDate": format!("19{}-0{}-11", 10 + self.draws.below(90), 1 + self.draws.below(9)),
        })
    }

    /// Active or not: of the latter the view makes no row.
    fn condition(&mut self, id: &str, patient: &str) -> Value {
        let status = if self.draws.percent(70) { "active" } else { "resolved" };
        json!({
            "resourceType": "Condition",
            "id": id,
            "clinicalStatus": { "coding": [{ "code": status }] },
            "code": { "text": format!("condition {}", self.draws.below(50)) },
            "subject": { "reference": self.reference(patient) },
        })
    }

    /// With none to three components: a row each.
    fn observation(&mut self, id: &str, patient: &str) -> Value {
        let component = |draws: &mut Draws, place: usize| {
            let value = draws.below(300);
            json!({ "code": { "text": format!("part {place}") }, "valueInteger": value })
        };
        let places = self.draws.below(4);
        let components: Vec<_> =
            (0..places).map(|place| component(&mut self.draws, place)).collect();
        let mut observation = json!({
            "resourceType": "Observation",
            "id": id,
            "status": if self.draws.percent(85) { "final" } else { "entered-in-error" },
            "code": { "text": "panel" },
            "subject": { "reference": self.reference(patient) },
        });
        if !components.is_empty() {
            observation["component"] = json!(components);
        }
        observation
    }

    fn reference(&mut self, patient: &str) -> String {
        let relative = format!("Patient/{patient}");
        if self.draws.percent(20) { format!("{}/{relative}", self.base) } else { relative }
    }
}
