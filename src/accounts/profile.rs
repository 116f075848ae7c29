//! What people say about themselves: shown on their card, and changed by themselves alone.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::Accounts;
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Parameters, Statements, Store, retrying};
use crate::base::text::is_label;
use crate::sql;

/// Attributes of a profile.
pub const ATTRIBUTES: [&str; 5] = ["signature", "sex", "birth_year", "region", "tags"];
const SIGNATURE_CHARS_MAX: usize = 200;
const REGION_CHARS_MAX: usize = 100;
const TAGS_MAX: usize = 20;
const TAG_CHARS_MAX: usize = 50;
const SEXES: [&str; 3] = ["female", "male", "other"];
const FIRST_YEAR: i64 = 1900;

/// The profile of a user with an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub signature: Option<String>,
    pub sex: Option<String>,
    pub birth_year: Option<i16>,
    pub region: Option<String>,
    pub tags: Vec<String>,
    pub last_seen_at: Option<OffsetDateTime>,
}

impl Profile {
    fn of_row(row: &Row) -> Self {
        Self {
            signature: row.get("signature"),
            sex: row.get("sex"),
            birth_year: row.get("birth_year"),
            region: row.get("region"),
            tags: row.get("tags"),
            last_seen_at: row.get("last_seen_at"),
        }
    }
}

/// Changes of a profile: the attributes that are set, each checked. Null clears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change(Map<String, Value>);

impl Change {
    /// Takes the attributes of a profile out of a body.
    ///
    /// # Errors
    /// `Kind::InvalidField`.
    pub fn take(body: &mut Map<String, Value>, now: OffsetDateTime) -> Result<Self> {
        let mut change = Map::new();
        for attribute in ATTRIBUTES {
            if let Some(value) = body.remove(attribute) {
                check(attribute, &value, now).map_err(|why| Error::field(format!("/{attribute}"), why))?;
                change.insert(attribute.to_owned(), value);
            }
        }
        Ok(Self(change))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes with their values.
    pub fn values(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn check(attribute: &str, value: &Value, now: OffsetDateTime) -> std::result::Result<(), &'static str> {
    let label = |most: usize| value.as_str().is_some_and(|text| is_label(text, most));
    let year = i64::from(now.year());
    let (is_good, why) = match attribute {
        _ if value.is_null() => (true, ""),
        "signature" => (label(SIGNATURE_CHARS_MAX), "must be one line of 1 to 200 characters, or null"),
        "region" => (label(REGION_CHARS_MAX), "must be one line of 1 to 100 characters, or null"),
        "sex" => {
            (value.as_str().is_some_and(|sex| SEXES.contains(&sex)), "must be female, male, other or null")
        }
        "birth_year" => (
            value.as_i64().is_some_and(|born| (FIRST_YEAR..=year).contains(&born)),
            "must be a year from 1900 to this one, or null",
        ),
        _ => {
            let is_tag = |tag: &Value| tag.as_str().is_some_and(|tag| is_label(tag, TAG_CHARS_MAX));
            let tags = value.as_array();
            let good = tags.is_some_and(|tags| tags.len() <= TAGS_MAX && tags.iter().all(is_tag));
            (good, "must be a list of at most 20 lines of 1 to 50 characters each, or null")
        }
    };
    if is_good { Ok(()) } else { Err(why) }
}

/// Changes the profile of a user with an account.
///
/// # Errors
/// `Kind::NotFound` if the user has none.
pub async fn change(store: &Store, user_id: &str, change: &Change) -> Result<()> {
    let text = |attribute: &str| change.0.get(attribute).and_then(Value::as_str);
    let sets: Vec<&str> = change.0.keys().map(String::as_str).collect();
    let year = change.0.get("birth_year").and_then(Value::as_i64).and_then(|year| i16::try_from(year).ok());
    let tags = change.0.get("tags").and_then(Value::as_array);
    let tags: Vec<&str> = tags.into_iter().flatten().filter_map(Value::as_str).collect();
    let (signature, sex, region) = (text("signature"), text("sex"), text("region"));
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        if tx.opt(sql!("accounts/profile/lock"), &[&user_id]).await?.is_none() {
            return Err(Error::not_found("no such account"));
        }
        let values: Parameters<'_> = &[&user_id, &sets, &signature, &sex, &year, &region, &tags];
        tx.run(sql!("accounts/profile/change"), values).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Which users to look for by what they say about themselves. One of the two at least.
#[derive(Debug, Clone, Copy)]
pub struct ProfileSearch<'a> {
    pub region: Option<&'a str>,
    pub tag: Option<&'a str>,
    /// The external user who looks, who sees some users only.
    pub external: Option<&'a str>,
    pub limit: i64,
}

/// A user in the results.
#[derive(Debug)]
pub struct Found {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub kind: String,
    pub title: Option<String>,
}

impl Accounts {
    /// A page of users by id, after the user `after`.
    ///
    /// # Errors
    /// `Kind::Forbidden` with the setting that allows it.
    pub async fn find(&self, search: ProfileSearch<'_>, after: &str) -> Result<Vec<Found>> {
        let ProfileSearch { region, tag, external, limit } = search;
        let wanted = [("region", region.is_some()), ("tags", tag.is_some())];
        if let Some((name, _)) = wanted.iter().find(|(name, wanted)| *wanted && !self.is_searchable(name)) {
            let detail = format!("nobody looks for users by {name} here: see the setting `account_search`");
            return Err(Error::new(Kind::Forbidden, detail));
        }
        let rows = match tag {
            Some(tag) => {
                let parameters: Parameters<'_> = &[&tag, &region, &after, &limit, &external];
                self.store.all(sql!("accounts/profile/with_tag"), parameters).await?
            }
            None => {
                let parameters: Parameters<'_> = &[&region, &after, &limit, &external];
                self.store.all(sql!("accounts/profile/of_region"), parameters).await?
            }
        };
        let found = |row: &Row| Found {
            user_id: row.get("user_id"),
            name: row.get("name"),
            head_icon: row.get("head_icon"),
            kind: row.get("kind"),
            title: row.get("title"),
        };
        Ok(rows.iter().map(found).collect())
    }

    fn is_searchable(&self, attribute: &str) -> bool {
        self.settings.search.iter().any(|searchable| searchable == attribute)
    }
}

/// The profile of a user. None: the user has no account.
pub async fn get(store: &Store, user_id: &str) -> Result<Option<Profile>> {
    Ok(store.opt(sql!("accounts/profile/get"), &[&user_id]).await?.as_ref().map(Profile::of_row))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(body: Value) -> Result<Change> {
        let Value::Object(mut body) = body else { panic!("an object") };
        Change::take(&mut body, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_profile_has_bounds() {
        let good = json!({"signature": "忙", "sex": "other", "birth_year": 1969, "region": "上海", "tags": ["rust"]});
        assert_eq!(take(good).unwrap().values().len(), 5);
        assert_eq!(take(json!({"tags": null, "sex": null})).unwrap().values().len(), 2);
        for (attribute, value) in [
            ("signature", json!("x".repeat(201))),
            ("signature", json!("two\nlines")),
            ("sex", json!("f")),
            ("birth_year", json!(1971)),
            ("birth_year", json!(1899)),
            ("birth_year", json!("1960")),
            ("region", json!("")),
            ("tags", json!(vec!["x"; 21])),
            ("tags", json!("x")),
            ("tags", json!([1])),
        ] {
            let refused = take(json!({attribute: value.clone()})).expect_err("bounds");
            assert_eq!(refused.pointer, Some(format!("/{attribute}")), "{value}");
        }
    }
}
