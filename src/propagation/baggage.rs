//! Baggage that is kept: an ordered map.

use super::{BaggageSink, BaggageSource, EachMember};
use std::string::String;
use std::vec::Vec;

/// A member of baggage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaggageMember {
    /// Its key.
    pub key: String,
    /// Its value, decoded.
    pub value: String,
    /// Its properties as they stand in the header, without the first semicolon; empty for none.
    pub properties: String,
}

/// Keys and values that travel with a request, in order; keys are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage {
    members: Vec<BaggageMember>,
}

impl Baggage {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members.iter().find(|member| member.key == key).map(|member| member.value.as_str())
    }

    /// Sets a value, in the place of an earlier one, whose properties go, or at the end.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.put(key.into(), value.into(), String::new());
    }

    /// Takes a member away, and gives its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let position = self.members.iter().position(|member| member.key == key)?;
        Some(self.members.remove(position).value)
    }

    /// Takes all members away.
    pub fn clear(&mut self) {
        self.members.clear();
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = &BaggageMember> {
        self.members.iter()
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn put(&mut self, key: String, value: String, properties: String) {
        match self.members.iter_mut().find(|member| member.key == key) {
            Some(member) => (member.value, member.properties) = (value, properties),
            None => self.members.push(BaggageMember { key, value, properties }),
        }
    }
}

impl BaggageSink for Baggage {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        let [key, value, properties] = [key, value, properties].map(|text| String::from_utf8_lossy(text).into_owned());
        self.put(key, value, properties);
    }
}

impl BaggageSource for Baggage {
    fn members(&self, each: &mut EachMember<'_>) {
        for member in &self.members {
            each(member.key.as_bytes(), member.value.as_bytes(), member.properties.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_in_their_places() {
        let mut baggage = Baggage::default();
        baggage.member(b"user.id", b"7", b"secret");
        baggage.set("account.id", "8");
        baggage.set("user.id", "9");
        let seen: Vec<_> = baggage.iter().map(|m| (m.key.as_str(), m.value.as_str(), m.properties.as_str())).collect();
        assert_eq!(seen, [("user.id", "9", ""), ("account.id", "8", "")]);
        assert_eq!(baggage.remove("user.id").as_deref(), Some("9"));
        assert_eq!((baggage.get("user.id"), baggage.get("account.id"), baggage.len()), (None, Some("8"), 1));
        baggage.clear();
        assert!(baggage.is_empty());
    }
}
