import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import WirePayloads

/// Finds the API key that a request carries.
package struct KeyAuthentication: Sendable {
  private let store: any KeyStore

  package init(store: any KeyStore) { self.store = store }

  /// A handler that runs for a valid key only.
  package func callAsFunction(
    _ handler: @escaping @Sendable (Request, CoordinatorRequestContext, KeyRecord) async throws ->
      Response
  ) -> @Sendable (Request, CoordinatorRequestContext) async throws -> Response {
    { request, context in
      try await handler(request, context, key(of: request))
    }
  }

  /// - Throws: `APIError` 401 without `Authorization: Bearer KEY`, or with an unknown or revoked
  ///   key.
  package func key(of request: Request) async throws -> KeyRecord {
    guard request.headers[.authorization] != nil else {
      throw unauthorized(
        "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'.")
    }
    guard let token = request.bearerToken else {
      throw unauthorized("The Authorization header must be 'Bearer YOUR_KEY'.")
    }
    guard let record = try await store.key(hash: Secret.hash(token)), record.revokedAt == nil else {
      throw unauthorized("Incorrect API key provided. Ask the coordinator's operator for a key.")
    }
    return record
  }

  private func unauthorized(_ message: String) -> APIError {
    APIError(
      .unauthorized, message, code: "invalid_api_key", headers: [.wwwAuthenticate: "Bearer"])
  }
}

extension Request {
  /// What `Authorization: Bearer` carries; nil for nothing and for more than 512 bytes.
  package var bearerToken: Substring? {
    guard let parts = headers[.authorization]?.split(separator: " ", maxSplits: 1),
      parts.count == 2, parts[0].lowercased() == "bearer", parts[1].utf8.count <= 512
    else { return nil }
    return parts[1]
  }

  /// `after`, `limit` and `order` of a list.
  ///
  /// - Throws: `APIError` 400.
  package func page(defaultLimit: Int, maximumLimit: Int) throws -> PageRequest {
    let query = uri.queryParameters
    var page = PageRequest(limit: defaultLimit)
    if let after = query["after"], !after.isEmpty {
      guard !String(after).holdsNUL else {
        throw APIError.invalid(
          "Invalid 'after': it has the character U+0000.", param: "after", code: "invalid_value")
      }
      page.after = String(after)
    }
    if let text = query["limit"] {
      guard let limit = Int(text), (1...maximumLimit).contains(limit) else {
        throw APIError.invalid(
          "Invalid 'limit': expected an integer from 1 to \(maximumLimit).", param: "limit",
          code: "invalid_value")
      }
      page.limit = limit
    }
    if let text = query["order"] {
      guard let order = PageRequest.Order(rawValue: String(text)) else {
        throw APIError.invalid(
          "Invalid 'order': expected 'asc' or 'desc'.", param: "order", code: "invalid_value")
      }
      page.order = order
    }
    return page
  }
}

extension CoordinatorRequestContext {
  /// The identifier in the path.
  ///
  /// - Throws: `APIError` 404 for one with U+0000, which nothing has.
  package func pathID(_ name: String = "id") throws -> String {
    let raw = try parameters.require(name)
    let id = raw.removingPercentEncoding ?? raw
    guard !id.holdsNUL else {
      throw APIError(
        .notFound, "Nothing has an id with the character U+0000.", param: name, code: "not_found")
    }
    return id
  }
}
