import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import WireProtocol

/// Who looks at a page.
package enum Visitor: Sendable {
  case anybody
  /// Who came with the key of an account; `key` is what the store knows that by.
  case owner(AccountProfile, key: WireProtocol.Digest)
  case `operator`(key: WireProtocol.Digest)

  /// The account that is signed in.
  package var account: AccountProfile? {
    if case .owner(let profile, _) = self { profile } else { nil }
  }

  /// What names are shown.
  package var audience: Audience {
    if case .operator = self { .operator } else { .everyone }
  }

  /// Whom the frame of every page greets.
  var name: String? {
    switch self {
    case .anybody: nil
    case .owner(let profile, _): profile.account.name
    case .operator: "Operator"
    }
  }

  /// Equal for those who are shown the same. Two keys are two, since one may be revoked.
  var sharing: String {
    switch self {
    case .anybody: ""
    case .owner(_, let key), .operator(let key): key.hex
    }
  }
}

/// Finds who sent a request by the key that it carries: in the cookie that signing in sets, or,
/// from a script that reads, as `Authorization: Bearer`.
struct AccountAuthentication: Sendable {
  let store: any AccountStore & AdministrationStore

  private static let cookieName = "tally_account"
  /// Seconds that a browser keeps the key.
  private static let cookieSeconds = 30 * 86_400
  private static let longestKey = 512

  /// Anybody without a key, and with one that opens nothing.
  func visitor(of request: Request) async throws -> Visitor {
    let bearer = request.method == .get ? request.bearerToken.map(String.init) : nil
    guard let key = bearer ?? request.cookies[Self.cookieName]?.value else { return .anybody }
    return try await visitor(key: key)
  }

  /// Whom a key opens what for.
  func visitor(key: String) async throws -> Visitor {
    let hash = Secret.hash(key.prefix(Self.longestKey + 1))
    if key.hasPrefix(OperatorKey.prefix) {
      return try await store.isOperatorKey(hash: hash) ? .operator(key: hash) : .anybody
    }
    return try await store.account(keyHash: hash).map { .owner($0, key: hash) } ?? .anybody
  }

  /// Makes the browser keep a key, out of reach of scripts, and send it to this site alone.
  ///
  /// - Throws: `Cookie.ValidationError` for a key that a cookie cannot hold.
  static func cookie(keeping key: String) throws -> Cookie {
    try Cookie.validated(
      name: cookieName, value: key, maxAge: cookieSeconds, path: "/", secure: true,
      httpOnly: true, sameSite: .strict)
  }

  /// Makes the browser forget the key.
  static var forgettingCookie: Cookie {
    Cookie(
      name: cookieName, value: "", maxAge: 0, path: "/", secure: true, httpOnly: true,
      sameSite: .strict)
  }
}

/// A page that only its account's key opens was asked for without one.
struct SignInNeeded: Error {
  /// For a program that asked.
  var apiError: APIError {
    APIError(
      .unauthorized, "An account's page needs its key: send it as 'Authorization: Bearer KEY'.",
      type: "authentication_error", code: "account_key_required",
      headers: [.wwwAuthenticate: "Bearer"])
  }
}

extension Request {
  /// Whether a form was sent from a page of ours. A browser says where from; a program that says
  /// nothing carries no cookie that it was not given on purpose.
  private var isSameSite: Bool {
    if let site = headers[HTTPField.Name("sec-fetch-site")!] {
      return site == "same-origin" || site == "none"
    }
    guard let origin = headers[.origin] else { return true }
    guard let host = head.authority else { return false }
    return origin.lowercased() == "https://\(host.lowercased())"
  }

  /// - Throws: `APIError` 403 for a form that another site's page sent.
  func requireSameSite() throws {
    guard isSameSite else {
      throw APIError(
        .forbidden, "This form was sent from another site; open the page here and send it again.",
        code: "cross_site")
    }
  }
}
