//! What a caller may do, as a small set.

use serde_json::Value;

/// A part of the interface that not everybody may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Acts as themselves: channels, messages, conversations.
    User,
    /// Reports receipts and presence.
    Gateway,
    /// Feeds the directory.
    Directory,
    /// Reads other people's history, audited.
    Support,
    /// Operates the service. Implies `Directory` and `Support`, but not `Gateway`: whoever
    /// administers must not be able to forge who has read what.
    Admin,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::User, Self::Gateway, Self::Directory, Self::Support, Self::Admin];

    /// As claims, headers and tokens write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Gateway => "gateway",
            Self::Directory => "directory",
            Self::Support => "support",
            Self::Admin => "admin",
        }
    }

    /// The role of exactly this name; other groups of a company mean nothing here.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The roles somebody was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    pub fn without(self, role: Role) -> Self {
        Self(self.0 & !role.bit())
    }

    /// Whether `role` was given, or is implied by one that was.
    pub fn has(self, role: Role) -> bool {
        let implied = matches!(role, Role::Directory | Role::Support) && self.given(Role::Admin);
        implied || self.given(role)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the roles given, without the implied ones.
    pub fn names(self) -> Vec<&'static str> {
        Role::ALL.into_iter().filter(|role| self.given(*role)).map(Role::name).collect()
    }

    /// The roles among `names`; names that are no role of ours are passed over.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(Role::named).collect()
    }

    /// The roles in a text of names between commas. ASCII blanks around a name do not count; inside
    /// they are part of it: a group called `IT admin` is not `admin`. Bytes, because groups of other
    /// systems come in any encoding.
    pub fn listed(text: &[u8]) -> Self {
        let names = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        Self::named(names.filter_map(|name| std::str::from_utf8(name).ok()))
    }

    /// The roles that a JSON value gives: a list of names, or a string as of [`Roles::listed`].
    pub fn of_claim(claim: &Value) -> Self {
        match claim {
            Value::Array(names) => Self::named(names.iter().filter_map(Value::as_str)),
            Value::String(text) => Self::listed(text.as_bytes()),
            _ => Self::default(),
        }
    }

    fn given(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_a_list_and_a_string_is_split_at_commas_alone() {
        let text = |text: &str| {
            let (listed, claimed) = (Roles::listed(text.as_bytes()), Roles::of_claim(&json!(text)));
            assert_eq!(listed, claimed, "a header and a claim are read alike: {text:?}");
            listed.names()
        };
        assert_eq!(text("support, admin\t,gateway "), ["gateway", "support", "admin"]);
        for none in [
            "IT admin",
            "openid support gateway",
            "\u{a0}admin",
            "admin\u{3000}",
            "\u{200b}admin",
            "admin\u{b}",
            "admin;support",
            "[\"admin\"]",
            "Admin",
            "",
        ] {
            assert!(text(none).is_empty(), "{none:?}");
        }
        assert_eq!(Roles::listed(b"\xff\xfe,support, \xc3").names(), ["support"]);
        let list = |list: Value| Roles::of_claim(&list).names();
        assert_eq!(list(json!(["admin", "IT support", "gateway,user", " support", 7, null])), ["admin"]);
        for none in [json!({"admin": true}), json!(null), json!(7), json!([["admin"]])] {
            assert!(list(none.clone()).is_empty(), "{none}");
        }
    }

    #[test]
    fn admin_implies_directory_and_support_but_not_gateway() {
        let admin = Roles::default().with(Role::Admin);
        assert!(admin.has(Role::Directory) && admin.has(Role::Support) && admin.has(Role::Admin));
        assert!(!admin.has(Role::Gateway) && !admin.has(Role::User));
        assert_eq!(admin.names(), ["admin"]);
    }

    #[test]
    fn only_exact_names_are_roles() {
        assert!(Roles::named(["Admin", "administrators", "it admin", "admin ", ""]).is_empty());
        assert_eq!(Roles::named(["staff", "support", "user"]).names(), ["user", "support"]);
    }
}
