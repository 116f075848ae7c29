//! What a robot answers, in the words and codes of DingTalk and WeCom. Their clients read `errcode`.

use std::borrow::Cow;

use crate::base::error::{Error, Kind};

/// What helps when a robot has used up its quota of files.
const FILES_FULL: &str = "the files of the robot are full: replace it by another robot";

/// Whose client has called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    DingTalk,
    WeCom,
}

/// Why a call is refused.
#[derive(Debug)]
pub enum Refusal {
    /// No robot has this address, or its key is wrong.
    UnknownAddress,
    WrongSignature,
    OldTimestamp,
    /// The robot has sent `most` messages in the last minute. After `wait_s` seconds it may send again.
    TooMany {
        most: u32,
        wait_s: u64,
    },
    NotJson,
    UnknownType,
    /// A field is missing or empty.
    Missing(&'static str),
    TooLong,
    /// A field is wrong.
    Invalid(String),
    BadPicture,
    /// The company's filter refuses the message.
    Filtered(String),
    Dissolved,
    /// The robot is no member any more.
    NotInGroup,
    /// The service cannot do it now.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind {
            Kind::ChannelDissolved => Self::Dissolved,
            Kind::GateRefused => Self::Filtered(error.detail().to_owned()),
            Kind::NotFound | Kind::UnknownUser | Kind::Forbidden => Self::NotInGroup,
            // No call can delete the files of a robot.
            Kind::QuotaExceeded => Self::Invalid(FILES_FULL.to_owned()),
            kind if kind.row().0 < 500 => Self::Invalid(error.detail().to_owned()),
            _ => Self::Failed(error),
        }
    }
}

impl Refusal {
    /// The failure for the log, if the service is at fault.
    pub fn failure(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// How many seconds the caller should wait, if that is known.
    pub fn wait_s(&self) -> Option<u64> {
        match self {
            Self::TooMany { wait_s, .. } => Some(*wait_s),
            Self::Failed(error) => error.retry_after_s,
            _ => None,
        }
    }

    /// `errcode` and `errmsg`. The hint finds the request in the log.
    pub fn told(&self, dialect: Dialect, hint: &str) -> (i32, String) {
        match dialect {
            Dialect::DingTalk => {
                let (code, words) = self.by_dingtalk();
                (code, words.into_owned())
            }
            Dialect::WeCom => {
                let (code, words) = self.by_wecom();
                let more = format!("https://open.work.weixin.qq.com/devtool/query?e={code}");
                (code, format!("{words}, hint: [{hint}], more info at {more}"))
            }
        }
    }

    fn by_dingtalk(&self) -> (i32, Cow<'static, str>) {
        const MORE: &str = "more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]";
        match self {
            Self::UnknownAddress => (300_001, "token is not exist".into()),
            Self::WrongSignature => (310_000, format!("sign not match, {MORE}").into()),
            Self::OldTimestamp => (310_000, format!("invalid timestamp, {MORE}").into()),
            Self::TooMany { most, .. } => {
                (130_101, format!("send too fast, exceed {most} times per minute").into())
            }
            Self::NotJson => (40_035, "缺少参数 json".into()),
            Self::UnknownType => (400_105, "不支持的消息类型".into()),
            Self::Missing(field) => (40_035, format!("缺少参数 {field}").into()),
            Self::TooLong => (460_101, "message too long".into()),
            Self::Invalid(reason) => (40_035, format!("不合法的参数: {reason}").into()),
            Self::BadPicture => (430_103, "不合适的图片".into()),
            Self::Filtered(reason) => (430_104, format!("不合适的内容: {reason}").into()),
            Self::Dissolved => (400_013, "群已被解散".into()),
            Self::NotInGroup => (400_102, "机器人已停用".into()),
            Self::Failed(_) => (-1, "系统繁忙".into()),
        }
    }

    fn by_wecom(&self) -> (i32, Cow<'static, str>) {
        match self {
            // WeCom has no signatures.
            Self::UnknownAddress | Self::WrongSignature | Self::OldTimestamp => {
                (93_000, "invalid webhook url".into())
            }
            Self::TooMany { .. } => (45_009, "api freq out of limit".into()),
            Self::NotJson => (47_001, "data format error".into()),
            Self::UnknownType => (40_008, "invalid message type".into()),
            Self::Missing(field) => (44_004, format!("empty content: {field}").into()),
            Self::TooLong => (45_002, "content size out of limit".into()),
            Self::Invalid(reason) => (40_058, format!("{reason}. invalid Request Parameter").into()),
            Self::BadPicture => (40_009, "invalid image size".into()),
            Self::Filtered(reason) => (40_058, format!("{reason}. invalid Request Parameter").into()),
            Self::Dissolved | Self::NotInGroup => (93_008, "robot not in the group".into()),
            Self::Failed(_) => (-1, "system busy".into()),
        }
    }
}
