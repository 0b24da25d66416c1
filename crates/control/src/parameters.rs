//! Parameters: how an instance can be set, by the API's names and in its units, and what that is to its nodes. The facts
//! are one table, [`TABLE`].

mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ledger::Params;
use model::{EngineVersion, Text, TypeId};
use runtime::Engine;

pub(crate) use self::table::TABLE;
use crate::action::Language;
use crate::errors::excerpt;

/// A parameter. Its name is that by which the ledger keeps it.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// What it is called for types below a version.
    former: Option<(EngineVersion, &'static str)>,
    /// The first version of a type, and of an engine, that has it.
    since: EngineVersion,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) unit: &'static str,
    /// What it is for, in English and in Chinese.
    tips: (&'static str, &'static str),
    pub(crate) effect: Effect,
}

/// What values it takes.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// One of these.
    Enum(&'static [&'static str]),
    /// A whole number from the one to the other.
    Integer(i64, i64),
    /// One of these, which the API calls a text.
    Text(&'static [&'static str]),
    /// Any of these letters, each from a version on.
    Letters(&'static [(char, EngineVersion)]),
    /// Any of these, separated by commas.
    Multi(&'static [&'static str]),
}

/// What it is to the nodes of an instance.
pub(crate) enum Effect {
    /// A setting of the engine.
    Setting(Setting),
    /// Commands that no customer's user may run.
    Commands,
    /// What stands between a name and a password where clients send both as one.
    Separator,
    /// How long a command takes that the gateway notes as slow.
    SlowAfter,
}

/// A setting of the engine.
pub(crate) struct Setting {
    name: &'static str,
    /// What engines below a version call it.
    former: Option<(EngineVersion, &'static str)>,
    /// How many of the engine's units make one of the API's.
    factor: i64,
    taken: Taken,
}

/// When the engine takes a setting.
enum Taken {
    Live,
    /// At its start; engines of this kind and version, or newer, take it live.
    AtStart {
        live_from: Engine,
    },
}

/// The parameters that instances of a type have, in the table's order.
pub(crate) fn of_type(type_id: TypeId) -> impl Iterator<Item = &'static Parameter> {
    TABLE.iter().filter(move |parameter| parameter.since <= type_id.version())
}

/// The parameter that clients of a type know by this name.
pub(crate) fn find(type_id: TypeId, name: &str) -> Option<&'static Parameter> {
    of_type(type_id).find(|parameter| parameter.name_for(type_id) == name)
}

/// All that an engine is told of these parameters at its start: by its own names, in its own units.
pub(crate) fn settings(params: &Params, engine: Engine) -> Vec<(String, String)> {
    settings_where(params, engine, |_| true)
}

/// Of [`settings`], those that the engine takes while it runs.
pub(crate) fn live_settings(params: &Params, engine: Engine) -> Vec<(String, String)> {
    settings_where(params, engine, |setting| !setting.is_taken_at_start(engine))
}

fn settings_where(params: &Params, engine: Engine, which: impl Fn(&Setting) -> bool) -> Vec<(String, String)> {
    let known = TABLE.iter().filter(|parameter| parameter.since <= engine.version);
    let settings = known.filter_map(|parameter| match &parameter.effect {
        Effect::Setting(setting) if which(setting) => {
            Some((setting.name_for(engine).to_owned(), setting.write(parameter.value(params))))
        }
        _ => None,
    });
    settings.collect()
}

/// The names of all settings of an engine that parameters are.
pub(crate) fn setting_names(engine: Engine) -> Vec<&'static str> {
    let known = TABLE.iter().filter(|parameter| parameter.since <= engine.version);
    known.filter_map(|parameter| Some(parameter.setting()?.name_for(engine))).collect()
}

/// The commands that no customer's user may run.
pub(crate) fn disabled_commands(params: &Params) -> impl Iterator<Item = &str> {
    let lists = TABLE.iter().filter(|parameter| matches!(parameter.effect, Effect::Commands));
    lists.flat_map(|parameter| items(parameter.value(params)))
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|item| !item.is_empty())
}

impl Kind {
    /// As the API calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Enum(_) => "enum",
            Kind::Integer(..) => "integer",
            Kind::Text(_) | Kind::Letters(_) => "text",
            Kind::Multi(_) => "multi",
        }
    }
}

impl Parameter {
    /// As clients of a type know it.
    pub(crate) fn name_for(&self, type_id: TypeId) -> &'static str {
        match self.former {
            Some((until, former)) if type_id.version() < until => former,
            _ => self.name,
        }
    }

    /// What it is set to, or its default.
    pub(crate) fn value<'a>(&self, params: &'a Params) -> &'a str {
        params.get(self.name).map_or(self.default, String::as_str)
    }

    fn setting(&self) -> Option<&Setting> {
        match &self.effect {
            Effect::Setting(setting) => Some(setting),
            _ => None,
        }
    }

    /// Whether nodes must be started anew for it to be changed.
    pub(crate) fn needs_restart(&self, engine: Engine) -> bool {
        self.setting().is_some_and(|setting| setting.is_taken_at_start(engine))
    }

    /// Reads a value that a client gives for an instance of a type; else says what it may be.
    pub(crate) fn read(&self, type_id: TypeId, text: &str) -> Result<String, Text> {
        let name = self.name_for(type_id);
        let bare = match self.kind {
            Kind::Enum(_) | Kind::Integer(..) => text,
            // As it is shown.
            Kind::Text(_) | Kind::Letters(_) | Kind::Multi(_) => {
                text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
            }
        };
        let (fits, en, zh) = match self.kind {
            Kind::Enum(values) | Kind::Text(values) => (
                values.contains(&bare),
                format!("`{name}` is one of {}", values.join(", ")),
                format!("`{name}` 须为以下取值之一：{}", values.join("、")),
            ),
            Kind::Integer(min, max) => (
                bare.parse().is_ok_and(|number: i64| (min..=max).contains(&number) && number.to_string() == bare),
                format!("`{name}` is a whole number from {min} to {max}"),
                format!("`{name}` 须为 {min} 至 {max} 的整数"),
            ),
            Kind::Letters(letters) => {
                let known = letters_for(letters, type_id);
                (
                    bare.chars().all(|letter| known.contains(letter)),
                    format!("`{name}` is made of the letters {known}, or is \"\""),
                    format!("`{name}` 由字符 {known} 组成，或为\"\""),
                )
            }
            Kind::Multi(values) => {
                let given: Vec<&str> = if bare.is_empty() { Vec::new() } else { bare.split(',').collect() };
                let is_known = |item: &&str| values.contains(item);
                let distinct: BTreeSet<&&str> = given.iter().collect();
                (
                    given.iter().all(is_known) && distinct.len() == given.len(),
                    format!("`{name}` lists any of {} once, with commas between, or is \"\"", values.join(", ")),
                    format!("`{name}` 为以下取值的不重复列表（以逗号分隔）：{}，或为\"\"", values.join("、")),
                )
            }
        };
        if fits {
            return Ok(bare.to_owned());
        }
        let given = excerpt(text);
        Err(Text::new(format!("{en}; it can't be `{given}`"), format!("{zh}，不能为 `{given}`")))
    }

    /// What it is for.
    pub(crate) fn tip(&self, language: Language) -> &'static str {
        match language {
            Language::En => self.tips.0,
            Language::Zh => self.tips.1,
        }
    }

    /// A value as clients see it: one of two quotes where it is empty.
    pub(crate) fn show(&self, value: &str) -> String {
        if value.is_empty() { "\"\"".into() } else { value.into() }
    }

    /// What a node has, out of all that it says of its settings: as it was set, where that is the same to the engine.
    pub(crate) fn current(&self, params: &Params, engine: Engine, said: &BTreeMap<String, String>) -> String {
        let wanted = self.value(params);
        let live = self.setting().and_then(|setting| Some(setting.read(said.get(setting.name_for(engine))?)));
        match live {
            Some(live) if !self.is_same(wanted, &live) => live,
            _ => wanted.to_owned(),
        }
    }

    /// Whether two values are the same to the engine.
    fn is_same(&self, one: &str, other: &str) -> bool {
        let letters = |text: &str| -> BTreeSet<char> { text.replace('A', ALL_EVENTS).chars().collect() };
        one == other || (matches!(self.kind, Kind::Letters(_)) && letters(one) == letters(other))
    }

    /// The values that it can have, or be made of.
    pub(crate) fn values(&self, type_id: TypeId) -> Vec<String> {
        match self.kind {
            Kind::Enum(values) | Kind::Text(values) | Kind::Multi(values) => {
                values.iter().map(ToString::to_string).collect()
            }
            Kind::Letters(letters) => letters_for(letters, type_id).chars().map(String::from).collect(),
            Kind::Integer(..) => Vec::new(),
        }
    }
}

/// What the letter A stands for among the letters of events.
const ALL_EVENTS: &str = "g$lshzxetd";

fn letters_for(letters: &[(char, EngineVersion)], type_id: TypeId) -> String {
    letters.iter().filter(|(_, since)| *since <= type_id.version()).map(|(letter, _)| *letter).collect()
}

impl Setting {
    fn name_for(&self, engine: Engine) -> &'static str {
        match self.former {
            Some((until, former)) if engine.version < until => former,
            _ => self.name,
        }
    }

    fn is_taken_at_start(&self, engine: Engine) -> bool {
        match self.taken {
            Taken::Live => false,
            Taken::AtStart { live_from } => !engine.serves(live_from.kind, live_from.version),
        }
    }

    /// In the engine's units.
    fn write(&self, value: &str) -> String {
        match value.parse::<i64>() {
            Ok(number) if self.factor != 1 && number >= 0 => number.saturating_mul(self.factor).to_string(),
            _ => value.to_owned(),
        }
    }

    /// In the API's units.
    fn read(&self, said: &str) -> String {
        match said.parse::<i64>() {
            // Less than none is "off", in whatever units.
            Ok(number) if self.factor != 1 && number < 0 => "-1".into(),
            Ok(number) if self.factor != 1 => (number / self.factor).to_string(),
            _ => said.to_owned(),
        }
    }
}
