//! Lists of seeds such as `1,2,5-10`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Seeds in the order in which they were written, none twice. A range costs nothing, however long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedList(Vec<RangeInclusive<u64>>);

impl SeedList {
    pub fn iter(&self) -> impl Iterator<Item = u64> + use<> {
        self.0.clone().into_iter().flatten()
    }

    /// How many seeds, `u64::MAX` if there are even more.
    pub fn count(&self) -> u64 {
        let count = |range: &RangeInclusive<u64>| (range.end() - range.start()).saturating_add(1);
        self.0.iter().map(count).fold(0, u64::saturating_add)
    }
}

impl FromStr for SeedList {
    type Err = String;

    fn from_str(text: &str) -> Result<SeedList, String> {
        let number = |text: &str| {
            let text = text.trim();
            text.parse::<u64>().map_err(|_| format!("`{text}` is no seed; write numbers and ranges such as 1,2,5-10"))
        };
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for item in text.split(',') {
            let (first, last) = match item.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(item)?, number(item)?),
            };
            if first > last {
                return Err(format!("the range {first}-{last} is empty; write {last}-{first}"));
            }
            if let Some(other) = ranges.iter().find(|other| first <= *other.end() && *other.start() <= last) {
                return Err(format!("seed {} is there twice", first.max(*other.start())));
            }
            ranges.push(first..=last);
        }
        Ok(SeedList(ranges))
    }
}

impl fmt::Display for SeedList {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        let list: SeedList = "1, 2,5-10,0".parse().unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [1, 2, 5, 6, 7, 8, 9, 10, 0]);
        assert_eq!((list.count(), list.to_string().as_str()), (9, "1,2,5-10,0"));
    }

    #[test]
    fn endless_ranges_cost_nothing() {
        let list: SeedList = "0-18446744073709551615".parse().unwrap();
        assert_eq!((list.count(), list.iter().nth(3)), (u64::MAX, Some(3)));
        assert_eq!("1-99999999999".parse::<SeedList>().unwrap().count(), 99_999_999_999);
    }

    #[test]
    fn what_is_no_list_is_told() {
        for (text, word) in [
            ("", "`` is no seed"),
            ("1,,2", "`` is no seed"),
            ("-5", "`` is no seed"),
            ("1-2-3", "`2-3`"),
            ("a", "`a`"),
            ("99999999999999999999", "`99999999999999999999`"),
            ("10-5", "write 5-10"),
            ("1-5,3", "seed 3 is there twice"),
        ] {
            let error = text.parse::<SeedList>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
