//! The keys of a configuration that are on or off: each has a flag for either.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::train::TrainConfig;

/// Writes a switch to a configuration.
type Set = fn(&mut TrainConfig, bool);

struct Switch {
    heading: &'static str,
    /// The flags that set the key to true and to false, each with its help. Both are told in the first one's line.
    on: (&'static str, &'static str),
    off: (&'static str, &'static str),
    /// The published flag, which switches OFF although its name says the opposite.
    inverted: Option<&'static str>,
    set: Set,
}

const TRAINING: [Switch; 3] = [
    Switch {
        heading: "Data",
        on: ("flip", "Mirror pictures left to right with probability 1/2"),
        off: ("no-flip", "never [default: as is usual for the data set]"),
        inverted: None,
        set: |config, value| config.flip = Some(value),
    },
    Switch {
        heading: "Training",
        on: ("no-lr-decay", "Keep the learning rates as they are"),
        off: ("lr-decay", "let them fall to 1e-5 by a cosine over all epochs"),
        inverted: None,
        set: |config, value| config.no_lr_decay = value,
    },
    Switch {
        heading: "Training",
        on: ("use-ema", "Average the generator's parameters, for samples"),
        off: ("no-ema", "sample from them as they are"),
        inverted: None,
        set: |config, value| config.use_ema = value,
    },
];

const NETWORK: [Switch; 7] = [
    Switch {
        heading: "Diffusion",
        on: ("use-geometric", "The geometric schedule in place of the variance-preserving one"),
        off: ("no-geometric", "the latter"),
        inverted: None,
        set: |config, value| config.schedule.use_geometric = value,
    },
    Switch {
        heading: "Generator",
        on: ("use-fir", "Smooth with the FIR kernel when resizing"),
        off: ("no-fir", "do not"),
        inverted: Some("fir"),
        set: |config, value| config.generator.fir = value,
    },
    Switch {
        heading: "Generator",
        on: ("use-skip-rescale", "Divide sums of a block and its shortcut by sqrt 2"),
        off: ("no-skip-rescale", "do not"),
        inverted: Some("skip_rescale"),
        set: |config, value| config.generator.skip_rescale = value,
    },
    Switch {
        heading: "Generator",
        on: ("use-resamp-with-conv", "Resize between blocks with a convolution"),
        off: ("no-resamp-with-conv", "without one"),
        inverted: Some("resamp_with_conv"),
        set: |config, value| config.generator.resamp_with_conv = value,
    },
    Switch {
        heading: "Generator",
        on: ("use-conditional", "Tell the generator the time"),
        off: ("no-conditional", "do not"),
        inverted: Some("conditional"),
        set: |config, value| config.generator.conditional = value,
    },
    Switch {
        heading: "Generator",
        on: ("use-centered", "Take inputs to be in [-1, 1]"),
        off: ("no-centered", "in [0, 1]"),
        inverted: Some("centered"),
        set: |config, value| config.generator.centered = value,
    },
    Switch {
        heading: "Generator",
        on: ("not-use-tanh", "Leave the output unbounded"),
        off: ("use-tanh", "bound it to (-1, 1)"),
        inverted: None,
        set: |config, value| config.generator.not_use_tanh = value,
    },
];

impl Switch {
    /// Every flag of this switch; of those given, the last counts.
    fn flags(&self) -> impl Iterator<Item = &'static str> {
        [self.on.0, self.off.0].into_iter().chain(self.inverted)
    }

    fn args(&self) -> impl Iterator<Item = Arg> {
        let arg = |flag: &'static str| {
            Arg::new(flag).long(flag).action(ArgAction::SetTrue).overrides_with_all(self.flags().collect::<Vec<_>>())
        };
        let ((on, does), (off, does_instead)) = (self.on, self.off);
        let both = arg(on).help(format!("{does}; --{off}: {does_instead}"));
        let other = arg(off).help(format!("The opposite of --{on}")).hide_short_help(true).hide_long_help(true);
        let mut own = [both, other].map(|arg| arg.help_heading(self.heading));
        if let Some(flag) = self.inverted.filter(|flag| flag.contains('_')) {
            // With dashes it is a flag of ours, and means what it says.
            own[0] = own[0].clone().alias(flag.replace('_', "-"));
        }
        let inverted = self.inverted.map(|flag| {
            let help = format!("Means --{off}: as published, it switches OFF");
            arg(flag).help(help).help_heading(super::PUBLISHED)
        });
        own.into_iter().chain(inverted)
    }
}

/// The switches of a network and its schedule that were given, or the other ones of a training.
pub struct Switches<const OF_NETWORK: bool> {
    given: Vec<(Set, bool)>,
    /// What is worth saying about them.
    pub warnings: Vec<String>,
}

pub type TrainingSwitches = Switches<false>;
pub type NetworkSwitches = Switches<true>;

impl<const OF_NETWORK: bool> Switches<OF_NETWORK> {
    fn table() -> &'static [Switch] {
        if OF_NETWORK { &NETWORK } else { &TRAINING }
    }

    pub fn apply(&self, config: &mut TrainConfig) {
        self.given.iter().for_each(|(set, value)| set(config, *value));
    }
}

impl<const OF_NETWORK: bool> Args for Switches<OF_NETWORK> {
    fn augment_args(command: Command) -> Command {
        command.args(Self::table().iter().flat_map(Switch::args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const OF_NETWORK: bool> FromArgMatches for Switches<OF_NETWORK> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut switches = Switches { given: Vec::new(), warnings: Vec::new() };
        for switch in Self::table() {
            let Some(flag) = switch.flags().find(|flag| matches.get_flag(flag)) else { continue };
            switches.given.push((switch.set, flag == switch.on.0));
            if Some(flag) == switch.inverted {
                let (on, off) = (switch.on.0, switch.off.0);
                switches.warnings.push(format!(
                    "--{flag} switches OFF, as in the published program; --{off} says so plainly, --{on} switches on"
                ));
            }
        }
        Ok(switches)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
