//! How values read back: a configuration is a file with one line for each option.

use serde_json::{Value, json};

use super::options::find;
use super::values::{Kind, items_of};

/// The value of a line without a value.
pub(super) const EMPTY: &str = " ";

/// Options that are neither drives nor nets. `None` if the option is removed.
pub(super) fn read_back(option: &str, value: &str) -> Result<Option<Value>, String> {
    if option == "description" {
        let text = value.trim_end();
        return Ok((!text.is_empty()).then(|| json!(text)));
    }
    if option == "cipassword" {
        return Ok(Some(json!("**********")));
    }
    if value.contains(['\n', '\r']) {
        let why = "property contains a line feed";
        return Err(format!("unable to parse value of '{option}' - {why}"));
    }
    let kind = find(option).map(|(kind, _)| kind);
    if let Some(Kind::Integer(..) | Kind::Boolean) = kind {
        let number: i64 = value.parse().expect("checked before");
        return Ok(Some(json!(number)));
    }
    let text = match option {
        "tags" => sorted_tags(value),
        "boot" => in_order(value),
        _ => value.trim().to_owned(),
    };
    let text = if text.is_empty() {
        EMPTY.to_owned()
    } else {
        text
    };
    Ok(Some(json!(text)))
}

fn sorted_tags(value: &str) -> String {
    let mut tags: Vec<String> = items_of(value).map(str::to_lowercase).collect();
    tags.sort();
    tags.dedup();
    tags.join(";")
}

fn in_order(boot: &str) -> String {
    match boot.strip_prefix("order=") {
        None => boot.to_owned(),
        Some(order) => format!("order={}", items_of(order).collect::<Vec<_>>().join(";")),
    }
}

/// Switches inside a value become numbers.
pub(super) fn tidy(option: &str, settings: &mut [(String, String)]) {
    let Some((Kind::Properties(properties), _)) = find(option) else {
        return;
    };
    for (name, value) in settings {
        let kind = properties.keys.iter().find(|(known, _)| known == name);
        if let (Some((_, Kind::Boolean)), Some(number)) = (kind, switch(value)) {
            number.clone_into(value);
        }
    }
}

/// A switch inside a value, as the server writes it.
pub(super) fn switch(value: &str) -> Option<&'static str> {
    match &*value.to_ascii_lowercase() {
        "1" | "on" | "yes" | "true" => Some("1"),
        "0" | "off" | "no" | "false" => Some("0"),
        _ => None,
    }
}
