//! What an operator is started with.

/// How the operator of a test is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Arguments of `run`, beside addresses and names.
    pub arguments: Vec<String>,
    /// Its log goes where nobody reads, all of it.
    pub unread_log: bool,
}

impl Options {
    /// What an operator is told by an administrator who sets nothing.
    pub fn as_shipped() -> Self {
        Self {
            arguments: Vec::new(),
            unread_log: false,
        }
    }

    /// These, with one more, or another value for one of them.
    pub fn with(mut self, argument: &str, value: &str) -> Self {
        match self.arguments.iter().position(|given| given == argument) {
            Some(place) => value.clone_into(&mut self.arguments[place + 1]),
            None => self.arguments.extend([argument.to_owned(), value.to_owned()]),
        }
        self
    }
}

impl Default for Options {
    /// Shorter times than an administrator would choose.
    fn default() -> Self {
        let arguments =
            "--settle 100ms --quiet 1s --propagation 2s --min-ready 1s --join-wait 30s --catch-up 5s --drain-time 1s";
        Self {
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            ..Self::as_shipped()
        }
    }
}
