//! The search index of users: each part of their names that begins at a character, syllable or word, as
//! written, in pinyin and as initials.
//!
//! A search reads the sorted table of words from the typed prefix on. The words are updated after the change
//! that made them due, in steps on any replica.

use std::collections::BTreeSet;
use std::time::Instant;

use deadpool_postgres::Transaction;
use pinyin::ToPinyinMulti;
use tokio_postgres::Row;

use crate::base::analyzer::{folded, is_cjk};
use crate::base::error::Result;
use crate::base::store::{REPEATABLE, Statements, Store, retrying};
use crate::base::worker::Tick;
use crate::sql;

/// Users in one step. They are locked while it runs.
const STEP: i64 = 500;
/// Longest stored word, in characters. Longer input is cut.
const WORD_MAX_CHARS: usize = 32;
/// Most characters and words of a name that are indexed.
const UNITS_MAX: usize = 24;
/// Most readings of one part of a name. The first characters, the surname, have priority.
const READINGS_MAX: usize = 16;

/// Updates the words of a step of users. Between steps it rests as long as a step took, because syncs have
/// priority.
pub async fn tick(store: &Store) -> Result<Tick> {
    let began = Instant::now();
    let done = retrying(|| step(store, None)).await?;
    if (done as i64) < STEP {
        return Ok(Tick::Idle);
    }
    let worked = began.elapsed();
    store.throttle().rest("words", began).await;
    tokio::time::sleep(worked).await;
    Ok(Tick::More)
}

/// Updates the words of these users before it returns.
pub async fn catch_up(store: &Store, user_ids: &[String]) -> Result<()> {
    for some in user_ids.chunks(STEP as usize) {
        retrying(|| step(store, Some(some))).await?;
    }
    Ok(())
}

/// Returns the number of users.
async fn step(store: &Store, of: Option<&[String]>) -> Result<usize> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(REPEATABLE).await?;
    let people = due(&tx, of).await?;
    if people.is_empty() {
        return Ok(0);
    }
    let user_ids: Vec<&str> = people.iter().map(|row| row.get("user_id")).collect();
    let words: Vec<String> = people.iter().map(words_of).collect();
    tx.run(sql!("people/search_index/keep_words"), &[&user_ids, &words]).await?;
    tx.commit().await?;
    Ok(people.len())
}

async fn due(tx: &Transaction<'_>, of: Option<&[String]>) -> Result<Vec<Row>> {
    match of {
        Some(user_ids) => Ok(tx.all(sql!("people/search_index/words_due_of"), &[&user_ids]).await?),
        None => Ok(tx.all(sql!("people/search_index/words_due"), &[&STEP]).await?),
    }
}

/// Separated by blanks, which no word contains. Leavers have words too: their messages are searched.
fn words_of(person: &Row) -> String {
    let mut words = BTreeSet::new();
    add_name(person.get("name"), &mut words);
    for attribute in ["login_name", "employee_number"] {
        add_written(&units(person.get::<_, Option<&str>>(attribute).unwrap_or_default()), &mut words);
    }
    let email: &str = person.get::<_, Option<&str>>("email").unwrap_or_default();
    add_written(&units(email.split('@').next().unwrap_or_default()), &mut words);
    let words: Vec<String> = words.into_iter().collect();
    words.join(" ")
}

/// The typed text as a prefix of a word. None if it has no letter or digit.
pub(super) fn beginning(typed: &str) -> Option<String> {
    let begins: String = units(typed).concat().chars().take(WORD_MAX_CHARS).collect();
    (!begins.is_empty()).then_some(begins)
}

/// The characters and words of a text, folded. A Chinese character is one unit, and so is a run of letters or
/// of digits.
fn units(text: &str) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for c in folded(text).chars() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let goes_on = |b: char| !is_cjk(b) && !is_cjk(c) && b.is_numeric() == c.is_numeric();
        match units.last_mut() {
            Some(unit) if before.is_some_and(goes_on) => unit.push(c),
            _ => units.push(c.to_string()),
        }
        before = Some(c);
    }
    units
}

fn add_name(name: &str, words: &mut BTreeSet<String>) {
    let mut units = units(name);
    add_written(&units, words);
    units.truncate(UNITS_MAX);
    let readings: Vec<Vec<String>> = units.iter().map(|unit| readings(unit)).collect();
    if readings.iter().zip(&units).any(|(reading, unit)| reading != std::slice::from_ref(unit)) {
        add_read(&readings, 1, words);
    }
    // The initial of a single character is already a prefix of its reading.
    let initials: Vec<Vec<String>> = readings.iter().map(|unit| initials(unit)).collect();
    add_read(&initials, 2, words);
}

/// Adds every suffix of a text, by units.
fn add_written(units: &[String], words: &mut BTreeSet<String>) {
    for first in 0..units.len().min(UNITS_MAX) {
        words.insert(units[first..].iter().flat_map(|unit| unit.chars()).take(WORD_MAX_CHARS).collect());
    }
}

/// Adds the same in every reading, for suffixes of at least so many units.
fn add_read(readings: &[Vec<String>], least_units: usize, words: &mut BTreeSet<String>) {
    let mut tails = vec![String::new()];
    for (units, readings) in readings.iter().rev().enumerate() {
        let most_tails = (READINGS_MAX / readings.len().max(1)).max(1);
        tails.truncate(most_tails);
        let mut longer: Vec<String> = Vec::new();
        for (reading, tail) in readings.iter().flat_map(|r| tails.iter().map(move |tail| (r, tail))) {
            let part = reading.chars().chain(tail.chars()).take(WORD_MAX_CHARS).collect();
            if !longer.contains(&part) {
                longer.push(part);
            }
        }
        tails = longer;
        if units + 1 >= least_units {
            words.extend(tails.iter().cloned());
        }
    }
}

/// The readings of a unit: a Chinese character in pinyin without tones, mostly one; anything else as written.
fn readings(unit: &str) -> Vec<String> {
    let mut readings: Vec<String> = Vec::new();
    for read in unit.chars().next().and_then(|c| c.to_pinyin_multi()).into_iter().flatten() {
        // ü has no key and is typed as v or u.
        for typed in [read.plain().replace('ü', "v"), folded(read.plain())] {
            if !readings.contains(&typed) {
                readings.push(typed);
            }
        }
    }
    readings.truncate(READINGS_MAX);
    if readings.is_empty() { vec![unit.to_owned()] } else { readings }
}

fn initials(readings: &[String]) -> Vec<String> {
    let mut initials: Vec<String> =
        readings.iter().filter_map(|r| r.chars().next()).map(String::from).collect();
    initials.dedup();
    initials
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str) -> BTreeSet<String> {
        let mut words = BTreeSet::new();
        add_name(name, &mut words);
        words
    }

    fn finds(name: &str, typed: &str) -> bool {
        let begins = beginning(typed).unwrap();
        words(name).iter().any(|word| word.starts_with(&begins))
    }

    #[test]
    fn a_chinese_name_is_found_by_parts_pinyin_and_initials() {
        for typed in [
            "张三丰",
            "三丰",
            "丰",
            "張三豐",
            "zhangsanfeng",
            "zhang san",
            "ZhangSan",
            "sanfeng",
            "feng",
            "zs",
            "zsf",
            "sf",
            "ＺＳ",
        ] {
            assert!(finds("张三丰", typed), "{typed}");
        }
        for typed in ["张丰", "angsan", "zf", "anfeng"] {
            assert!(!finds("张三丰", typed), "{typed}");
        }
    }

    #[test]
    fn characters_are_found_by_every_way_they_are_read() {
        for (name, typed) in [
            ("曾国藩", "zengguofan"),
            ("曾国藩", "cengguofan"),
            ("曾国藩", "cgf"),
            ("单雄信", "shanxiongxin"),
            ("单雄信", "danxiongxin"),
            ("吕布", "lvbu"),
            ("吕布", "lubu"),
            ("吕布", "lü bu"),
        ] {
            assert!(finds(name, typed), "{name} by {typed}");
        }
    }

    #[test]
    fn a_latin_name_is_found_by_any_word_and_by_initials() {
        for typed in ["Maria", "WEBER", "maria weber", "müller", "muller", "mwm", "weber-m"] {
            assert!(finds("María Weber-Müller", typed), "{typed}");
        }
        assert!(!finds("María Weber-Müller", "eber"));
        assert!(finds("Bob2", "2") && finds("Bob2", "bob2"));
    }

    #[test]
    fn the_longest_names_have_a_bounded_number_of_short_words() {
        for c in ['行', '单', 'a', '1'] {
            let name: String = std::iter::repeat_n(c, 255).collect();
            let words = words(&name);
            assert!(words.len() <= UNITS_MAX * (1 + 2 * READINGS_MAX), "{}", words.len());
            assert!(words.iter().all(|word| word.chars().count() <= WORD_MAX_CHARS));
        }
        assert_eq!(beginning(" -_ "), None);
        assert_eq!(beginning(&"长".repeat(300)).unwrap().chars().count(), WORD_MAX_CHARS);
    }
}
