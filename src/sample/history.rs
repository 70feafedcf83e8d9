//! One patient's course: which diseases begin when, which visits follow, in the order of time.

use jiff::Span;
use jiff::civil::{Date, DateTime};

use super::diseases::{DISEASES, Disease};
use super::fhir::{age_on, days_between, later, months_on, plus_days, plus_months};
use super::illnesses::{CARDIAC_ARREST, ILLNESSES, Illness, Setting};
use super::measures::Measure;
use super::network::{Facility, Town};
use super::people::Person;
use super::prevention::{SCREENINGS, VACCINES};
use super::random::Draw;
use super::visit;
use super::write::Export;
use crate::error::Result;

/// What is known and remembered of a patient while the history is written.
pub(super) struct Chart<'a> {
    pub(super) person: &'a Person,
    pub(super) draw: Draw,
    pub(super) export: &'a mut Export,
    pub(super) hospital: &'a Facility,
    /// Where the patient goes by habit, and to whom.
    pub(super) clinic: &'a Facility,
    pub(super) doctor: usize,
    pub(super) problems: Vec<Problem>,
    /// Adult height in millimetres.
    pub(super) height: i64,
    /// Adult body mass index in tenths.
    pub(super) build: i64,
    /// Index into the smoking states.
    pub(super) smoking: usize,
    /// Last dose of each of [`VACCINES`].
    pub(super) vaccinated: [Option<Date>; VACCINES.len()],
    /// Last of each of [`SCREENINGS`].
    pub(super) screened: [Option<Date>; SCREENINGS.len()],
    /// Deductible paid: in which year, cents.
    pub(super) deductible: (i16, i64),
}

/// A disease the patient has, or will have.
pub(super) struct Problem {
    pub(super) disease: &'static Disease,
    pub(super) onset: Date,
    /// 0 (well controlled) to 1000 (badly).
    pub(super) control: i64,
    /// Id of the Condition once it is recorded.
    pub(super) condition: Option<String>,
    /// When each of the disease's drugs was last prescribed.
    pub(super) prescribed: Vec<Option<Date>>,
}

/// Why a patient comes.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Wellness,
    Review,
    Ill(&'static Illness),
    Dying(&'static Illness),
}

/// Ages in months of the well-child visits; yearly after the last.
const CHILD_VISITS: [i64; 10] = [1, 2, 4, 6, 9, 12, 15, 18, 24, 30];
/// Permille of people with obesity, in whom some diseases are commoner.
const OBESITY: i64 = 360;

/// Writes everything of patient number `index` of `seed`.
pub(super) fn write(seed: u64, index: usize, town: &Town, export: &mut Export) -> Result<()> {
    let mut draw = Draw::new(seed, index as u64);
    let person = Person::new(&mut draw);
    person.write(town, &mut draw, export)?;
    let mut chart = Chart::new(&person, town, draw, export);
    visit::write_allergies(&mut chart)?;
    let mut free_from = person.birth.at(0, 0, 0, 0);
    for (start, purpose) in chart.plan() {
        if start >= free_from {
            free_from = visit::write(&mut chart, start, purpose)?;
        }
    }
    Ok(())
}

impl<'a> Chart<'a> {
    fn new(person: &'a Person, town: &'a Town, mut draw: Draw, export: &'a mut Export) -> Self {
        let clinic = draw.pick(&town.clinics);
        let obese = draw.chance(OBESITY);
        Self {
            person,
            export,
            hospital: &town.hospital,
            clinic,
            doctor: draw.between(0, clinic.practitioners.len() as i64 - 1) as usize,
            problems: draw_problems(person, obese, &mut draw),
            height: if person.female { draw.bell(1500, 1760) } else { draw.bell(1630, 1920) },
            build: if obese { draw.bell(300, 400) } else { draw.bell(196, 296) },
            smoking: if draw.chance(620) { 0 } else { draw.between(1, 2) as usize },
            vaccinated: [None; VACCINES.len()],
            screened: [None; SCREENINGS.len()],
            deductible: (0, 0),
            draw,
        }
    }

    /// All visits of the history, in order of time.
    fn plan(&mut self) -> Vec<(DateTime, Purpose)> {
        let mut plan = Vec::new();
        self.plan_wellness(&mut plan);
        self.plan_reviews(&mut plan);
        self.plan_illnesses(&mut plan);
        // The day of death, and the one before it, belong to the last visit.
        let last = plus_days(self.person.history_end(), -2);
        let first = self.person.history_start();
        plan.retain(|(start, _)| start.date() > first && start.date() <= last);
        plan.sort_by_key(|(start, _)| *start);
        plan.dedup_by_key(|(start, _)| start.date());
        plan.extend(self.last_visit());
        plan
    }

    fn plan_wellness(&mut self, plan: &mut Vec<(DateTime, Purpose)>) {
        let (birth, end) = (self.person.birth, self.person.history_end());
        let mut day = self.person.history_start();
        if day > birth {
            day = plus_days(day, self.draw.between(1, 330));
        }
        while day <= end {
            let months = months_on(birth, day);
            if day > birth && !self.draw.chance(if months < 24 { 20 } else { 110 }) {
                plan.push((self.office_hour(day), Purpose::Wellness));
            }
            day = match CHILD_VISITS.iter().find(|due| **due > months) {
                Some(due) => plus_days(plus_months(birth, *due), self.draw.between(0, 9)),
                None => plus_days(day, wellness_interval(months / 12) + self.draw.between(-15, 25)),
            };
        }
    }

    /// A visit at each onset, then as often as the most demanding disease wants.
    fn plan_reviews(&mut self, plan: &mut Vec<(DateTime, Purpose)>) {
        let start = self.person.history_start();
        let onsets: Vec<Date> = self.problems.iter().map(|problem| problem.onset).collect();
        for onset in onsets.into_iter().filter(|onset| *onset > start) {
            plan.push((self.office_hour(onset), Purpose::Review));
        }
        let mut day = plus_days(start, self.draw.between(20, 150));
        while day <= self.person.history_end() {
            let due =
                self.active(day).map(|problem| problem.disease.review).filter(|months| *months > 0);
            let Some(months) = due.min() else {
                day = plus_days(day, 60);
                continue;
            };
            if !self.draw.chance(330) {
                plan.push((self.office_hour(day), Purpose::Review));
            }
            day = plus_days(day, months * 30 + self.draw.between(-20, 35));
        }
    }

    fn plan_illnesses(&mut self, plan: &mut Vec<(DateTime, Purpose)>) {
        let (start, end) = (self.person.history_start(), self.person.history_end());
        let days = days_between(start, end);
        let per_decade = match age_on(self.person.birth, end) {
            ..=12 => self.draw.between(3, 11),
            13..=64 => self.draw.between(0, 6),
            _ => self.draw.between(1, 7),
        };
        for _ in 0..per_decade * days / 3650 {
            let day = plus_days(start, self.draw.between(1, days));
            let age = age_on(self.person.birth, day);
            let weight = |illness: &Illness| match illness.ages {
                (low, high) if (low..=high).contains(&age) && illness.since <= day => {
                    illness.weight
                }
                _ => 0,
            };
            if let Some(illness) = self.draw.weighted(&ILLNESSES, weight) {
                let time = self.hour_of(illness.setting, day);
                plan.push((time, Purpose::Ill(illness)));
            }
        }
    }

    /// The visit in which the patient dies.
    fn last_visit(&mut self) -> Option<(DateTime, Purpose)> {
        let death = self.person.death?;
        let age = age_on(self.person.birth, death.date());
        let weight = |illness: &Illness| {
            let fits =
                illness.setting == Setting::Ward && (age - 30..age).contains(&illness.ages.0);
            if fits { illness.weight } else { 0 }
        };
        let illness = self.draw.weighted(&ILLNESSES, weight).unwrap_or(&CARDIAC_ARREST);
        let hours = self.draw.between(2, 20);
        Some((later(death, Span::new().hours(-hours)), Purpose::Dying(illness)))
    }

    /// The diseases that have begun by `day`.
    pub(super) fn active(&self, day: Date) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |problem| problem.onset <= day)
    }

    /// A value of `measure` on `day`: usual, or as the patient's diseases have it.
    pub(super) fn value(&mut self, measure: &Measure, day: Date) -> i64 {
        let shifted = self.active(day).find_map(|problem| problem.range(measure, day));
        let Some((low, high, control)) = shifted else {
            return self.draw.bell(measure.usual.0, measure.usual.1);
        };
        let noise = ((high - low) / 7).max(1);
        low + (high - low) * control / 1000 + self.draw.bell(-noise, noise)
    }

    fn office_hour(&mut self, day: Date) -> DateTime {
        day.at(self.draw.between(8, 16) as i8, self.draw.between(0, 3) as i8 * 15, 0, 0)
    }

    fn hour_of(&mut self, setting: Setting, day: Date) -> DateTime {
        if setting == Setting::Clinic {
            return self.office_hour(day);
        }
        let second = self.draw.between(0, 59) as i8;
        day.at(self.draw.between(0, 19) as i8, self.draw.between(0, 59) as i8, second, 0)
    }
}

impl Problem {
    /// Where `measure` lies on `day`: within eighteen months from the untreated to the treated range.
    fn range(&self, measure: &Measure, day: Date) -> Option<(i64, i64, i64)> {
        let effect = self.disease.effects.iter().find(|effect| effect.0.code == measure.code)?;
        let settled = days_between(self.onset, day).clamp(0, 540);
        let between =
            |untreated: i64, treated: i64| untreated + (treated - untreated) * settled / 540;
        Some((between(effect.1.0, effect.2.0), between(effect.1.1, effect.2.1), self.control))
    }
}

/// Days between wellness visits at an age in years, after the well-child visits.
fn wellness_interval(age: i64) -> i64 {
    match age {
        18..=39 => 700,
        40..=64 => 540,
        _ => 365,
    }
}

fn draw_problems(person: &Person, obese: bool, draw: &mut Draw) -> Vec<Problem> {
    let mut problems = Vec::new();
    for disease in &DISEASES {
        let base = disease.lifetime[usize::from(person.female)];
        let permille = if obese { base * 3 / 2 } else { base * 4 / 5 };
        let age = draw.between(disease.onset.0, disease.onset.1);
        let onset = plus_days(plus_months(person.birth, 12 * age), draw.between(0, 364));
        let control = draw.between(0, 1000);
        if draw.chance(permille) && onset < person.history_end() {
            let prescribed = vec![None; disease.drugs.len()];
            problems.push(Problem { disease, onset, control, condition: None, prescribed });
        }
    }
    problems
}
