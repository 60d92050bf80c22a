import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird

/// Asks for an account's key.
struct SignInPage: PageContent {
  static let template = "sign-in"
  let title = "Your account"
  /// What was wrong with the key; nil at first.
  let problem: String?
  /// Why the form is shown in place of a page.
  let reason: String?
  /// Whether the operator looks, who may sign out.
  let isOperator: Bool

  init(problem: String? = nil, reason: String? = nil, isOperator: Bool = false) {
    self.problem = problem
    self.reason = reason
    self.isOperator = isOperator
  }

  /// Which kind of secret was taken for an account's key, if it shows.
  static func problem(with key: String) -> String {
    switch key {
    case "": "Type or paste your account's key."
    case _ where key.hasPrefix("tally-account-"):
      "This account key is unknown here, or it was revoked."
    case _ where key.hasPrefix(OperatorKey.prefix):
      "This operator's key is unknown here, or another has taken its place."
    case _ where key.hasPrefix("tally1."):
      "This is an invitation, with which a machine joins. An account's key begins with "
        + "tally-account-."
    case _ where key.hasPrefix("tally-"):
      "This is not an account's key. Those begin with tally-account-; an API key submits jobs and "
        + "opens no account."
    default: "This is not an account's key. Those begin with tally-account-."
    }
  }
}

extension DashboardRoutes {
  /// `GET /account`: the account that is signed in, or a form.
  @Sendable func ownAccount(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    let visitor = try await pages.accounts.visitor(of: request)
    if let viewer = visitor.account { return Self.goTo("/accounts/\(viewer.account.id)") }
    return try await pages.page(
      SignInPage(isOperator: visitor.audience == .operator), section: nil, visitor: visitor)
  }

  /// `POST /sign-in`: keeps the key of the form in a cookie.
  @Sendable func signIn(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    try await pages.answering(request, section: nil) {
      try request.requireSameSite()
      let key = (try await Form(request)["key"] ?? "").filter { !$0.isWhitespace }
      let path: String
      switch try await pages.accounts.visitor(key: key) {
      case .anybody:
        return try await pages.page(
          SignInPage(problem: SignInPage.problem(with: key)), section: nil, status: .unauthorized)
      case .owner(let profile, _): path = "/accounts/\(profile.account.id)"
      case .operator: path = "/"
      }
      return Self.goTo(path, cookie: try AccountAuthentication.cookie(keeping: key))
    }
  }

  /// `POST /sign-out`: forgets it.
  @Sendable func signOut(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    try await pages.answering(request, section: nil) {
      try request.requireSameSite()
      return Self.goTo("/account", cookie: AccountAuthentication.forgettingCookie)
    }
  }

  /// Sends the browser on with a `GET`.
  static func goTo(_ path: String, cookie: Cookie? = nil) -> Response {
    var response = Response(
      status: .seeOther, headers: [.location: path, .cacheControl: "no-store"])
    if let cookie { response.setCookie(cookie) }
    return response
  }
}
