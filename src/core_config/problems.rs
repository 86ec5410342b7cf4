//! What is wrong with a config: as much of it as somebody reads, however much there is.

/// How many problems are kept.
const MOST: usize = 200;

/// The first problems, and how many more there are. A short text can hold a great many, and each is a sentence.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    first: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds one.
    pub(crate) fn push(&mut self, problem: impl Into<String>) {
        if self.first.len() < MOST {
            self.first.push(problem.into());
        } else {
            self.more += 1;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.more
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// All that is told of them.
    pub(crate) fn into_vec(self) -> Vec<String> {
        let Self { mut first, more } = self;
        if more > 0 {
            first.push(format!("and {more} problems more: mend these first"));
        }
        first
    }
}

impl Extend<String> for Problems {
    fn extend<I: IntoIterator<Item = String>>(&mut self, problems: I) {
        for problem in problems {
            self.push(problem);
        }
    }
}

impl FromIterator<String> for Problems {
    fn from_iter<I: IntoIterator<Item = String>>(problems: I) -> Self {
        let mut all = Self::default();
        all.extend(problems);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_first_are_told_and_how_many_more_there_are() {
        let problems: Problems = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(problems.len(), 1000);
        let told = problems.into_vec();
        assert_eq!((told.len(), told[0].as_str()), (MOST + 1, "0"));
        assert_eq!(told[MOST], "and 800 problems more: mend these first");
        assert_eq!(Problems::default().into_vec(), [""; 0]);
    }
}
