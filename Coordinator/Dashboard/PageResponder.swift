import CoordinatorAPI
import CoordinatorStore
import HTTPTypes
import Hummingbird
import WireProtocol

/// What a page is made for.
package struct PageVisit: Sendable {
  package var request: Request
  package var context: CoordinatorRequestContext

  /// The named part of the path.
  package func pathID(_ name: String = "id") throws -> String { try context.pathID(name) }
}

/// Answers with a page: whole for a browser, and as a stream of its main part for the page's script.
package struct PageResponder: Sendable {
  let renderer: PageRenderer
  let environment: APIEnvironment
  let live: LivePages

  /// What a page's script may load, and nothing else: no text of anybody's can run as a script.
  private static let contentPolicy =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    + "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

  /// A handler for a page.
  ///
  /// - Parameters:
  ///   - section: the part of the navigation that it belongs to.
  ///   - make: what it shows; for a live page it is called again and again.
  package func handler<Content: PageContent>(
    section: PageFrame.Section?, _ make: @escaping @Sendable (PageVisit) async throws -> Content
  ) -> @Sendable (Request, CoordinatorRequestContext) async throws -> Response {
    { request, context in
      let asked = PageVisit(request: request, context: context)
      do {
        let content = try await make(asked)
        guard request.wantsEvents else {
          return try await page(content, section: section)
        }
        // Whoever may see more than others has pages of their own.
        let key = request.uri.string + "\n" + (request.headers[.cookie] ?? "")
        return try await live.stream(key: key) { [renderer] in
          try renderer.main(try await make(asked))
        }
      } catch let error as APIError where request.wantsPage {
        return try await failure(error, section: section)
      } catch let error as StoreError where error.code == .notFound && request.wantsPage {
        return try await failure(
          APIError(.notFound, error.message, code: "not_found"), section: section)
      }
    }
  }

  /// A page that says what is wrong.
  private func failure(_ error: APIError, section: PageFrame.Section?) async throws -> Response {
    let title = error.status == .notFound ? "Not found" : "This did not work"
    var response = try await page(
      ErrorContent(title: title, message: error.message), section: section)
    response.status = error.status
    return response
  }

  private func page(
    _ content: some PageContent, section: PageFrame.Section?
  ) async throws -> Response {
    let frame = PageFrame(
      title: content.title, section: section,
      message: try await environment.store.administration().message,
      version: ProtocolVersion.program)
    let text = try renderer.page(frame, main: try renderer.main(content))
    return Response(
      status: .ok, headers: Self.headers("text/html; charset=utf-8"),
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  static func headers(_ contentType: String) -> HTTPFields {
    [
      .contentType: contentType, .cacheControl: "no-store",
      .contentSecurityPolicy: contentPolicy, .xContentTypeOptions: "nosniff",
      .referrerPolicy: "same-origin",
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
