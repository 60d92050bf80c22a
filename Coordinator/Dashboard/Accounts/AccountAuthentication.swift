import CoordinatorAPI
import CoordinatorStore
import Crypto
import HTTPTypes
import Hummingbird
import WireProtocol

/// Finds whose account key, or the operator's key, a request carries: in the cookie that signing in
/// sets, or, from a script that reads, as `Authorization: Bearer`.
struct AccountAuthentication: Sendable {
  let store: any AccountStore & AdministrationStore

  static let cookieName = "tally_account"
  /// Seconds that a browser keeps the key.
  private static let cookieSeconds = 30 * 86_400
  private static let longestKey = 512

  /// Nil without a key, and for a key that opens no account.
  func viewer(of request: Request) async throws -> AccountProfile? {
    guard let key = bearer(request) ?? cookie(request) else { return nil }
    return try await account(key: key)
  }

  /// The operator for a request with the operator's key.
  func audience(of request: Request) async throws -> Audience {
    guard let key = bearer(request) ?? cookie(request) else { return .everyone }
    return try await isOperator(key: key) ? .operator : .everyone
  }

  /// Whether a key is the operator's.
  func isOperator(key: String) async throws -> Bool {
    guard key.hasPrefix(OperatorKey.prefix), let hash = Self.hash(key) else { return false }
    return try await store.isOperatorKey(hash: hash)
  }

  private static func hash(_ key: String) -> WireProtocol.Digest? {
    WireProtocol.Digest(bytes: Array(SHA256.hash(data: Array(key.utf8.prefix(longestKey + 1)))))
  }

  /// The account that a key opens. A wrong key costs the same whatever it looks like.
  func account(key: String) async throws -> AccountProfile? {
    guard let hash = Self.hash(key) else { return nil }
    return try await store.account(keyHash: hash)
  }

  private func bearer(_ request: Request) -> String? {
    guard request.method == .get || request.method == .head,
      let parts = request.headers[.authorization]?.split(separator: " ", maxSplits: 1),
      parts.count == 2, parts[0].lowercased() == "bearer"
    else { return nil }
    return String(parts[1])
  }

  private func cookie(_ request: Request) -> String? {
    for pair in (request.headers[.cookie] ?? "").split(separator: ";") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0].trimmed == Self.cookieName else { continue }
      return parts[1].trimmed
    }
    return nil
  }

  /// Makes the browser keep a key, out of reach of scripts, and send it to this site alone. Nil for a
  /// key that a cookie cannot hold.
  static func cookie(keeping key: String) -> String? {
    let isPlain = key.utf8.allSatisfy { byte in
      byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
        || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
    guard isPlain, !key.isEmpty, key.utf8.count <= longestKey else { return nil }
    return "\(cookieName)=\(key); Max-Age=\(cookieSeconds); \(cookieAttributes)"
  }

  /// Makes the browser forget the key.
  static let forgettingCookie = "\(cookieName)=; Max-Age=0; \(cookieAttributes)"

  private static let cookieAttributes = "Path=/; HttpOnly; Secure; SameSite=Strict"
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
  /// Whether a form was sent from a page of ours. A browser says where from; a program that says nothing
  /// carries no cookie that it was not given on purpose.
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

extension Substring {
  fileprivate var trimmed: String {
    var text = self
    while text.first == " " || text.first == "\t" { text.removeFirst() }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return String(text)
  }
}
