import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import WireProtocol

/// What a page is made for.
package struct PageVisit: Sendable {
  package var request: Request
  package var context: CoordinatorRequestContext
  package var visitor: Visitor
  /// What the page knows of the query.
  var query: PageQuery

  /// The named part of the path.
  package func pathID(_ name: String = "id") throws -> String { try context.pathID(name) }
}

/// Answers with a page: whole for a browser, and as a stream of its main part for the page's
/// script.
package struct PageResponder: Sendable {
  let renderer: PageRenderer
  let environment: APIEnvironment
  let live: LivePages

  var accounts: AccountAuthentication { AccountAuthentication(store: environment.store) }

  /// What a page's script may load, and nothing else: no text of anybody's can run as a script.
  private static let contentPolicy =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    + "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

  /// A handler for a page.
  ///
  /// - Parameters:
  ///   - section: the part of the navigation that it belongs to.
  ///   - known: what of the query changes it.
  ///   - canonical: the query that shows the same as another one.
  ///   - make: what it shows; for a live page it is called again and again.
  func handler<Content: PageContent>(
    section: PageFrame.Section?, query known: Set<PageQuery.Parameter> = [],
    canonical: @escaping @Sendable (PageQuery) async throws -> PageQuery = { $0 },
    _ make: @escaping @Sendable (PageVisit) async throws -> Content
  ) -> @Sendable (Request, CoordinatorRequestContext) async throws -> Response {
    { request, context in
      try await answering(request, section: section) {
        let visitor = try await accounts.visitor(of: request)
        let query = try await canonical(PageQuery(request, known: known))
        let key = [
          context.endpointPath ?? "", (try? context.pathID()) ?? "", query.key, visitor.sharing,
        ].joined(separator: "\n")
        @Sendable func content(for visitor: Visitor) async throws -> Content {
          try await make(
            PageVisit(request: request, context: context, visitor: visitor, query: query))
        }
        guard request.wantsEvents else {
          guard case .anybody = visitor else {
            return try await page(
              try await content(for: visitor), section: section, visitor: visitor)
          }
          return Self.response(
            try await live.whole(key: key) {
              try await text(try await content(for: visitor), section: section, visitor: visitor)
            })
        }
        let network = ClientNetwork(context.channel.remoteAddress)
        return try await live.stream(key: key, from: network) {
          // A key may be revoked while its page is open.
          try renderer.main(try await content(for: try await accounts.visitor(of: request)))
        }
      }
    }
  }

  /// Runs a handler whose errors are pages for a person; a program gets them as they are.
  func answering(
    _ request: Request, section: PageFrame.Section?, _ handle: () async throws -> Response
  ) async throws -> Response {
    do {
      return try await handle()
    } catch let error as SignInNeeded {
      guard request.wantsPage else { throw error.apiError }
      return try await page(
        SignInPage(reason: "This page opens with its account's key."), section: section,
        status: .unauthorized)
    } catch let error as APIError where request.wantsPage {
      return try await failure(error, request, section: section)
    } catch let error as StoreError where error.code == .notFound && request.wantsPage {
      return try await failure(
        APIError(.notFound, error.message, code: "not_found"), request, section: section)
    }
  }

  /// A page that says what is wrong.
  private func failure(
    _ error: APIError, _ request: Request, section: PageFrame.Section?
  ) async throws -> Response {
    let title = error.status == .notFound ? "Not found" : "This did not work"
    var response = try await page(
      ErrorContent(title: title, message: error.message), section: section,
      visitor: try await accounts.visitor(of: request), status: error.status)
    response.headers[.retryAfter] = error.headers[.retryAfter]
    return response
  }

  /// A page with what all pages share.
  func page(
    _ content: some PageContent, section: PageFrame.Section?, visitor: Visitor = .anybody,
    status: HTTPResponse.Status = .ok
  ) async throws -> Response {
    Self.response(
      try await text(content, section: section, visitor: visitor), status: status)
  }

  private func text(
    _ content: some PageContent, section: PageFrame.Section?, visitor: Visitor
  ) async throws -> String {
    let frame = PageFrame(
      title: content.title, section: section, visitorName: visitor.name,
      message: try await environment.store.administration().message,
      version: ProtocolVersion.program)
    return try renderer.page(frame, main: try renderer.main(content))
  }

  private static func response(
    _ text: String, status: HTTPResponse.Status = .ok
  ) -> Response {
    Response(
      status: status, headers: headers("text/html; charset=utf-8"),
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  static func headers(_ contentType: String) -> HTTPFields {
    [
      .contentType: contentType, .cacheControl: "no-store",
      .contentSecurityPolicy: contentPolicy, .referrerPolicy: "same-origin",
    ]
  }
}

private struct ErrorContent: PageContent {
  static let template = "error"
  let title: String
  let message: String
}

extension Request {
  /// Whether a page's script asks for what changes.
  fileprivate var wantsEvents: Bool { headers[.accept]?.contains("text/event-stream") == true }
  /// Whether a person's browser asks, not a program.
  fileprivate var wantsPage: Bool { headers[.accept]?.contains("text/html") == true }
}

extension HTTPField.Name {
  static let referrerPolicy = HTTPField.Name("referrer-policy")!
}
