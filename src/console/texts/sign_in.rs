//! Texts of the page that signs people in, and of what a person with an account is told.

super::texts! { SignInTexts, sign_in;
    title: "Sign in to the console", "登录控制台";
    lead: "Use the account with which you send messages.", "请使用您收发消息的账号。";
    needed: "The page that you asked for needs a sign-in. It opens afterwards.", "您要打开的页面需要登录，登录后自动打开。";
    ended: "Your session has ended. Sign in again to go on where you were.", "会话已结束。请重新登录，然后继续之前的操作。";
    out: "You have signed out.", "您已退出登录。";
    username: "Username", "用户名";
    password: "Password", "密码";
    go: "Sign in", "登录";
    leave: "Sign out", "退出登录";
    wrong: "The username or the password is wrong", "用户名或密码错误";
    suspended: "The account is suspended", "账号已被停用";
    often: "Too many attempts: wait {} seconds, then try again", "尝试次数过多：请等待 {} 秒后重试";
    elsewhere: "You are signed in elsewhere: sign out there first", "您已在其他地方登录：请先在那里退出";
    busy: "The service cannot sign you in now: try again in a moment", "服务暂时无法登录，请稍后重试";
    failed: "The sign-in was not possible", "无法登录";
    support_do:
        "Ask an administrator to give your account the role support, then open this page again. Or sign out, and sign in with another account. Nothing was shown.",
        "请让管理员授予您的账号 support 角色，然后重新打开本页；或退出后使用其他账号登录。没有显示任何内容。";
    admin_do:
        "These pages are for operators. Ask an administrator to give your account the role admin, then open this page again. Or sign out, and sign in with another account. Nothing was shown.",
        "这些页面供运维人员使用。请让管理员授予您的账号 admin 角色，然后重新打开本页；或退出后使用其他账号登录。没有显示任何内容。";
}
