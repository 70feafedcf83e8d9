//! In which order files are handed over: that of the manifest, whatever the order in which they arrive.

use crate::export::download::Section;

/// The sections, in the order in which they are handed over.
pub(super) const SECTIONS: [Section; 3] = [Section::Output, Section::Deleted, Section::Error];

/// What is known of the places of the manifest.
#[derive(Debug, Default)]
pub(super) struct Order {
    sections: [Places; 3],
    /// Whether no page is to come.
    all_listed: bool,
}

#[derive(Debug, Default)]
struct Places {
    places: Vec<Place>,
    /// So many from the start are done with.
    handed_over: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Awaited,
    There,
    /// Listed a second time: there is nothing to hand over.
    Repeated,
}

impl Order {
    /// The next file of a section is to come.
    pub(super) fn expect(&mut self, section: Section) {
        self.places(section).places.push(Place::Awaited);
    }

    /// The next file of a section was listed before.
    pub(super) fn repeat(&mut self, section: Section) {
        self.places(section).places.push(Place::Repeated);
    }

    /// So many files of a section are listed so far.
    pub(super) fn listed(&self, section: Section) -> usize {
        self.sections[section as usize].places.len()
    }

    /// A file is stored.
    pub(super) fn arrived(&mut self, section: Section, index: usize) {
        if let Some(place) = self.places(section).places.get_mut(index) {
            *place = Place::There;
        }
    }

    /// The last page came.
    pub(super) fn all_listed(&mut self) {
        self.all_listed = true;
    }

    /// What can be handed over now: `output` as far as there is no gap, the rest when all `output` is.
    pub(super) fn ready(&mut self) -> Vec<(Section, usize)> {
        let mut ready = Vec::new();
        for section in SECTIONS {
            self.places(section).advance(section, &mut ready);
            if !(self.all_listed && self.places(section).is_done()) {
                break;
            }
        }
        ready
    }

    fn places(&mut self, section: Section) -> &mut Places {
        &mut self.sections[section as usize]
    }
}

impl Places {
    fn advance(&mut self, section: Section, ready: &mut Vec<(Section, usize)>) {
        while let Some(place) = self.places.get(self.handed_over).filter(|p| **p != Place::Awaited)
        {
            if *place == Place::There {
                ready.push((section, self.handed_over));
            }
            self.handed_over += 1;
        }
    }

    fn is_done(&self) -> bool {
        self.handed_over == self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps: `e` expect, `r` repeat, a digit: that file arrives, `.` the last page came; of output, or after `d` of
    /// deleted. What is ready after each step.
    #[test]
    fn files_are_handed_over_in_the_manifests_order() {
        for (steps, expected) in [
            ("ee10.", "o0 o1"),
            ("ee01.", "o0 o1"),
            ("e0e.", "o0"),
            ("ere20.", "o0 o2"),
            ("re1.", "o1"),
            ("ede0d0", "o0"),
            ("ede0d0.", "o0 d0"),
            ("eded00.", "o0 d0"),
            ("eded0.", ""),
            ("ded0.", "d0"),
            (".", ""),
        ] {
            let (mut order, mut found, mut section) =
                (Order::default(), Vec::new(), Section::Output);
            for step in steps.chars() {
                let at = std::mem::replace(&mut section, Section::Output);
                match step {
                    'd' => section = Section::Deleted,
                    'e' => order.expect(at),
                    'r' => order.repeat(at),
                    '.' => order.all_listed(),
                    digit => order.arrived(at, digit.to_digit(10).map_or(0, |d| d as usize)),
                }
                for (section, index) in order.ready() {
                    let letter = if section == Section::Output { 'o' } else { 'd' };
                    found.push(format!("{letter}{index}"));
                }
            }
            assert_eq!(found.join(" "), expected, "{steps}");
        }
    }
}
