//! A bounded list of error messages about a config.

const MOST: usize = 200;

/// The first problems, and the number of the others. A short text can have very many, and each is a sentence.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    first: Vec<String>,
    more: usize,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: impl Into<String>) {
        if self.first.len() < MOST {
            self.first.push(problem.into());
        } else {
            self.more += 1;
        }
    }

    /// Number of all problems, kept or not.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.more
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The kept problems, and a last line with the number of the others.
    pub(crate) fn into_vec(self) -> Vec<String> {
        let Self { mut first, more } = self;
        if more > 0 {
            first.push(format!("and {more} more problems: fix these first"));
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
        assert_eq!(told[MOST], "and 800 more problems: fix these first");
        assert_eq!(Problems::default().into_vec(), [""; 0]);
    }
}
