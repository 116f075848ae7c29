//! The roles of a caller, as a small set.

use serde_json::Value;

/// Permission for a part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Acts as a user: channels, messages, conversations.
    User,
    /// Reports receipts and presence.
    Gateway,
    /// Changes the directory.
    Directory,
    /// Reads the history of other users. Each read is audited.
    Support,
    /// Operates the service. Includes `Directory` and `Support`, but not `Gateway`: an administrator must not
    /// be able to forge receipts.
    Admin,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::User, Self::Gateway, Self::Directory, Self::Support, Self::Admin];

    /// The name in claims, headers and tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Gateway => "gateway",
            Self::Directory => "directory",
            Self::Support => "support",
            Self::Admin => "admin",
        }
    }

    /// The role with exactly this name. Other names are groups of the company.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    pub fn without(self, role: Role) -> Self {
        Self(self.0 & !role.bit())
    }

    /// Whether the caller has `role`, directly or through another role.
    pub fn has(self, role: Role) -> bool {
        let implied = matches!(role, Role::Directory | Role::Support) && self.given(Role::Admin);
        implied || self.given(role)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the roles, without implied ones.
    pub fn names(self) -> Vec<&'static str> {
        Role::ALL.into_iter().filter(|role| self.given(*role)).map(Role::name).collect()
    }

    /// The roles among `names`. Unknown names are ignored.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(Role::named).collect()
    }

    /// The roles in a comma-separated list. ASCII blanks around a name are ignored. Blanks inside belong to
    /// the name: a group `IT admin` is not `admin`. The input is bytes, because groups of other systems use
    /// any encoding.
    pub fn listed(text: &[u8]) -> Self {
        let names = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        Self::named(names.filter_map(|name| std::str::from_utf8(name).ok()))
    }

    /// The roles in a JSON value: a list of names, or a string for [`Roles::listed`].
    pub fn of_claim(claim: &Value) -> Self {
        match claim {
            Value::Array(names) => Self::named(names.iter().filter_map(Value::as_str)),
            Value::String(text) => Self::listed(text.as_bytes()),
            _ => Self::default(),
        }
    }

    /// Whether `role` is in the set, and not only through another role.
    pub fn given(self, role: Role) -> bool {
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
