//! What people are found by: each part of their names that begins at a character, a syllable or a word, as
//! it is written, in pinyin and by initials.
//!
//! The words stand in a table in their order, and a search reads it from what was typed on. They are put
//! down after the change that made them due, in steps that any replica may take.

use std::collections::BTreeSet;
use std::time::Instant;

use deadpool_postgres::Transaction;
use pinyin::ToPinyinMulti;
use tokio_postgres::Row;

use crate::archive::text::{folded, is_cjk};
use crate::error::Result;
use crate::schedule::Tick;
use crate::sql;
use crate::store::{REPEATABLE, Store, retrying};

/// People of one step, who are locked for as long as it takes.
const STEP: i64 = 500;
/// Longest word that is kept, in characters: what is typed beyond it is not looked at.
const WORD_MAX_CHARS: usize = 32;
/// Most characters and words of one name by which its parts are counted off.
const UNITS_MAX: usize = 24;
/// Most ways in which one part of a name is read. The first characters, the surname, have theirs first.
const READINGS_MAX: usize = 16;

/// Puts down the words of a step of people. Where there are more, it rests for as long as it took: the sync
/// that brings them comes first.
pub async fn tick(store: &Store) -> Result<Tick> {
    let began = Instant::now();
    let done = retrying(|| step(store, None)).await?;
    if (done as i64) < STEP {
        return Ok(Tick::Idle);
    }
    tokio::time::sleep(began.elapsed()).await;
    Ok(Tick::More)
}

/// The words of these people are put down when it returns.
pub async fn catch_up(store: &Store, user_ids: &[String]) -> Result<()> {
    for some in user_ids.chunks(STEP as usize) {
        retrying(|| step(store, Some(some))).await?;
    }
    Ok(())
}

/// How many people it was.
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
    let statement = tx.prepare_cached(sql!("directory/keep_words")).await?;
    tx.execute(&statement, &[&user_ids, &words]).await?;
    tx.commit().await?;
    Ok(people.len())
}

async fn due(tx: &Transaction<'_>, of: Option<&[String]>) -> Result<Vec<Row>> {
    match of {
        Some(user_ids) => {
            let statement = tx.prepare_cached(sql!("directory/words_due_of")).await?;
            Ok(tx.query(&statement, &[&user_ids]).await?)
        }
        None => {
            let statement = tx.prepare_cached(sql!("directory/words_due")).await?;
            Ok(tx.query(&statement, &[&STEP]).await?)
        }
    }
}

/// With blanks between them, which no word has. Also of those who have left: their messages are searched.
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

/// What somebody typed as the beginning of a word; None if there is no letter or digit in it.
pub(super) fn beginning(typed: &str) -> Option<String> {
    let begins: String = units(typed).concat().chars().take(WORD_MAX_CHARS).collect();
    (!begins.is_empty()).then_some(begins)
}

/// The characters and words of a text, folded: every Chinese character and the like is one, and so are
/// letters, or digits, without anything between them.
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
    // The initial of one alone is the beginning of what it is read as.
    let initials: Vec<Vec<String>> = readings.iter().map(|unit| initials(unit)).collect();
    add_read(&initials, 2, words);
}

/// Every part of a text that goes to its end.
fn add_written(units: &[String], words: &mut BTreeSet<String>) {
    for first in 0..units.len().min(UNITS_MAX) {
        words.insert(units[first..].iter().flat_map(|unit| unit.chars()).take(WORD_MAX_CHARS).collect());
    }
}

/// The same in every way the units are read, of parts of at least so many units.
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

/// How a unit is read: a Chinese character in pinyin without tones, mostly in one way; all else as written.
fn readings(unit: &str) -> Vec<String> {
    let mut readings: Vec<String> = Vec::new();
    for read in unit.chars().next().and_then(|c| c.to_pinyin_multi()).into_iter().flatten() {
        // What has no key of its own is typed as v or u.
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
