//! The kinds of channels, and the choices that a group has.

use crate::base::named::named;

named! {
    /// Whether a channel is between two users.
    pub enum ChannelType ("type of channel") {
        Direct = "direct",
        Group = "group",
    }
}

named! {
    /// What a member may do in a group.
    pub enum MemberRole ("role of a member") {
        /// Exactly one in a group. Sets roles, transfers the ownership, dissolves the group.
        Owner = "owner",
        /// Changes the group and its members.
        Admin = "admin",
        Member = "member",
    }
}

named! {
    /// What new members see of the messages before them.
    pub enum NewcomersSee ("value of newcomers_see") {
        Nothing = "nothing",
        Everything = "everything",
    }
}

named! {
    /// Who may send to a group.
    pub enum WhoSends ("value of who_sends") {
        Everybody = "everybody",
        /// The owner, admins and applications.
        Admins = "admins",
    }
}
