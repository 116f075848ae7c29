//! A list of users with the same name, from which a person chooses one.

use maud::{Markup, html};

use super::answers::Contact;

/// The users, each with the page that follows.
pub fn choices(users: &[Contact], address: impl Fn(&str) -> String) -> Markup {
    html! {
        ul.rows {
            @for one in users {
                li.row.wide data-row {
                    a href=(address(&one.user_id)) data-open { (one.name) }
                    span.soft {
                        @if let Some(title) = &one.title { (title) " " }
                        @if let Some(department) = &one.department { (department.name) " " }
                        span.id { (one.user_id) }
                    }
                }
            }
        }
    }
}
