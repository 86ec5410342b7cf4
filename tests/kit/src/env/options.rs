//! The arguments of a test's operator.

/// The settings of a test's operator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Arguments of `run` except addresses and names.
    pub arguments: Vec<String>,
    /// Whether the log goes, at its most verbose level, into a pipe that is not read.
    pub unread_log: bool,
}

impl Options {
    /// The shipped defaults.
    pub fn as_shipped() -> Self {
        Self {
            arguments: Vec::new(),
            unread_log: false,
        }
    }

    /// Adds an argument or changes its value.
    pub fn with(mut self, argument: &str, value: &str) -> Self {
        match self.arguments.iter().position(|given| given == argument) {
            Some(place) => value.clone_into(&mut self.arguments[place + 1]),
            None => self.arguments.extend([argument.to_owned(), value.to_owned()]),
        }
        self
    }
}

impl Default for Options {
    /// Shorter times than the shipped ones.
    fn default() -> Self {
        let arguments =
            "--settle 100ms --quiet 1s --propagation 2s --min-ready 1s --join-wait 30s --catch-up 5s --drain-time 1s";
        Self {
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            ..Self::as_shipped()
        }
    }
}
