//! Values of attributes, as whoever sets them has them.

use crate::record::{Name, SpanFields, floor_char_boundary};
use std::vec::Vec;

/// The longest text of an attribute that is kept, in bytes; a longer one is cut.
pub(super) const MAX_TEXT: usize = 256 * 1024;
/// The most bytes of a list that are kept; the items after them are left out.
pub(super) const MAX_LIST: usize = 12 * 1024;

/// The value of an attribute, borrowed.
#[derive(Clone, PartialEq, Debug)]
pub enum AttributeValue<'a> {
    /// Text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Texts.
    Texts(Vec<&'a str>),
    /// Truth values.
    Bools(&'a [bool]),
    /// Whole numbers.
    Integers(&'a [i64]),
    /// Numbers.
    Floats(&'a [f64]),
}

impl<'a> AttributeValue<'a> {
    /// The value with what a record can carry of it. `bytes` bounds a single text.
    pub(super) fn cut(self, bytes: usize) -> AttributeValue<'a> {
        let cut = |text: &'a str, bytes: usize| &text[..floor_char_boundary(text.as_bytes(), bytes)];
        match self {
            AttributeValue::Text(text) => AttributeValue::Text(cut(text, bytes)),
            AttributeValue::Texts(mut texts) => {
                let room = bytes.min(MAX_LIST);
                texts.truncate(room / 4);
                let share = fair_share(room - texts.len() * 4, texts.iter().map(|text| text.len()));
                AttributeValue::Texts(texts.into_iter().map(|text| cut(text, share)).collect())
            }
            AttributeValue::Bools(list) => AttributeValue::Bools(&list[..list.len().min(bytes.min(MAX_LIST))]),
            AttributeValue::Integers(list) => {
                AttributeValue::Integers(&list[..list.len().min(bytes.min(MAX_LIST) / size_of::<i64>())])
            }
            AttributeValue::Floats(list) => {
                AttributeValue::Floats(&list[..list.len().min(bytes.min(MAX_LIST) / size_of::<f64>())])
            }
            plain => plain,
        }
    }

    /// How many bytes it takes in a record, without its name.
    pub(super) fn size(&self) -> usize {
        match self {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Bool(_) => 1,
            AttributeValue::Integer(_) | AttributeValue::Float(_) => 8,
            AttributeValue::Texts(texts) => texts.iter().map(|text| text.len() + 4).sum(),
            AttributeValue::Bools(list) => list.len(),
            AttributeValue::Integers(list) => size_of_val(*list),
            AttributeValue::Floats(list) => size_of_val(*list),
        }
    }

    pub(super) fn write(&self, name: &[u8], to: &mut impl SpanFields) {
        let name = Name(name);
        match self {
            AttributeValue::Text(text) => to.attribute_text(name, text.as_bytes()),
            AttributeValue::Bool(truth) => to.attribute_bool(name, *truth),
            AttributeValue::Integer(number) => to.attribute_integer(name, *number),
            AttributeValue::Float(number) => to.attribute_float(name, *number),
            AttributeValue::Texts(texts) => to.attribute_texts(name, texts.iter().map(|text| text.as_bytes())),
            AttributeValue::Bools(list) => to.attribute_bools(name, list),
            AttributeValue::Integers(list) => to.attribute_integers(name, list),
            AttributeValue::Floats(list) => to.attribute_floats(name, list),
        }
    }
}

/// The most that each may have of a room so that all find room in it: what needs less leaves more to the others.
pub(super) fn fair_share(room: usize, needs: impl Iterator<Item = usize>) -> usize {
    let mut needs: Vec<usize> = needs.collect();
    needs.sort_unstable();
    let (mut room, mut left) = (room, needs.len());
    for need in needs {
        if need > room / left {
            return room / left;
        }
        room -= need;
        left -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn bytes_are_bounded() {
        assert_eq!(AttributeValue::Text("äöü").cut(100), AttributeValue::Text("äöü"));
        assert_eq!(AttributeValue::Text("äöü").cut(3), AttributeValue::Text("ä"));
        assert_eq!(AttributeValue::Texts(vec!["abc", "d"]).cut(12), AttributeValue::Texts(vec!["abc", "d"]));
        assert_eq!(AttributeValue::Texts(vec!["abc", "d"]).cut(11), AttributeValue::Texts(vec!["ab", "d"]));
        assert_eq!(AttributeValue::Texts(vec!["abc", "d"]).cut(7), AttributeValue::Texts(vec!["abc"]));
        assert_eq!(AttributeValue::Texts(vec!["abc"]).cut(3), AttributeValue::Texts(vec![]));
        assert_eq!(AttributeValue::Integers(&[1, 2, 3]).cut(16), AttributeValue::Integers(&[1, 2]));
    }
}
