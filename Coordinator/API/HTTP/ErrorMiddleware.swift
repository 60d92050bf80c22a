import BoundedWork
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import WireProtocol

/// Outermost middleware: names each request, turns every error into OpenAI's error object, and sets
/// the headers that every answer has.
package struct ErrorMiddleware: RouterMiddleware {
  package typealias Context = CoordinatorRequestContext

  package init() {}

  package func handle(
    _ request: Request, context: Context,
    next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    var response: Response
    do {
      response = try await next(request, context)
    } catch {
      response = try answer(to: error, request: request, context: context).response()
    }
    response.headers[.requestID] = context.requestID
    response.headers[.xContentTypeOptions] = "nosniff"
    // There is no port without TLS; browsers are told not to look for one.
    response.headers[.strictTransportSecurity] = "max-age=31536000"
    return response
  }

  private func answer(to error: any Error, request: Request, context: Context) -> APIError {
    switch error {
    case let error as APIError:
      return error
    case let error as FieldError:
      return error.asAPIError
    case let error as QuotaRefusal:
      return .quota(error)
    case let error as StoreError where error.code != .corrupt:
      return translate(error)
    case let error as any HTTPResponseError:
      return translate(error.status, request: request)
    case is ByteBudget.Exhausted:
      return .tryLater(
        .serviceUnavailable, "The coordinator has too much to compute now.", seconds: 10)
    case is CancellationError:
      return .unavailable("The server is shutting down.")
    case is ChannelError, is IOError:
      // The client went away; nobody reads the answer.
      return .invalid("The request ended early.", code: "request_incomplete")
    default:
      context.logger.error(
        "request failed",
        metadata: [
          "request": "\(context.requestID)", "method": "\(request.method)",
          "path": "\(request.uri.path)", "error": "\(String(reflecting: error))",
        ])
      return .internalFailure
    }
  }

  private func translate(_ error: StoreError) -> APIError {
    switch error.code {
    case .notFound: APIError(.notFound, error.message, code: "not_found")
    case .conflict: .conflict(error.message, code: "conflict")
    case .unknownCursor: .invalid(error.message, param: "after", code: "invalid_value")
    case .leaseUnknown:
      APIError(.notFound, error.message, code: WorkerErrorCode.leaseUnknown)
    case .invitationInvalid:
      APIError(
        .forbidden, error.message, type: "permission_error",
        code: WorkerErrorCode.invitationInvalid)
    case .membershipEnded:
      APIError(
        .forbidden, error.message, type: "permission_error",
        code: WorkerErrorCode.membershipEnded)
    case .upgradeRequired: .upgradeRequired(error.message)
    case .tooSoon: .tryLater(.tooManyRequests, error.message, seconds: 60)
    case .invalid: .invalid(error.message, code: "invalid_value")
    case .corrupt: .internalFailure
    }
  }

  /// Errors that the HTTP library raises itself.
  private func translate(_ status: HTTPResponse.Status, request: Request) -> APIError {
    switch status.code {
    case 404:
      APIError(
        .notFound, "Unknown request URL: \(request.method) \(request.uri.path.prefix(200)).",
        code: "unknown_url")
    case 413: .tooLarge("The request body is too large.")
    case 400..<500: APIError(status, "The request is malformed.", code: "bad_request")
    default: .internalFailure
    }
  }
}

extension RouterMethods where Context == CoordinatorRequestContext {
  /// What the HTTP parser takes for methods beside the usual ones.
  private static var unusedMethods: [HTTPRequest.Method] {
    [
      "TRACE", "CONNECT", "ACL", "BIND", "CHECKOUT", "COPY", "LINK", "LOCK", "M-SEARCH", "MERGE",
      "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE",
      "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK",
      "UNSUBSCRIBE",
    ].compactMap { HTTPRequest.Method($0) }
  }

  /// Registers the handlers of one path and answers every other method with 405.
  package func route(
    _ path: RouterPath,
    _ handlers: [HTTPRequest.Method: @Sendable (Request, Context) async throws -> Response]
  ) {
    let known: [HTTPRequest.Method] = [.get, .post, .put, .patch, .delete, .head, .options]
    let allowed = known.filter { handlers[$0] != nil }.map(\.rawValue).joined(separator: ", ")
    for method in known + Self.unusedMethods {
      if let handler = handlers[method] {
        on(path, method: method, use: handler)
      } else {
        on(path, method: method) { request, _ -> Response in
          throw APIError(
            .methodNotAllowed,
            "Not allowed: \(request.method) \(request.uri.path.prefix(200)). Use \(allowed).",
            code: "method_not_allowed", headers: [.allow: allowed])
        }
      }
    }
  }
}
