import Foundation
import Hummingbird
import Logging
import ServiceLifecycle
import Synchronization
import WireProtocol
import WorkerCore

/// Answers the machine's owner on a Unix socket in the worker's folder, which lets nobody else in:
/// what the worker does, and orders to it. HTTP and JSON, so that `curl --unix-socket` will do too.
struct ControlServer: Sendable {
  /// What the routes read and do.
  struct Handlers: Sendable {
    var status: @Sendable () async -> StatusDocument
    var order: @Sendable (Governor.Order) async throws -> Void
    var preferences: @Sendable () async -> WorkerPreferences
    var replacePreferences: @Sendable (WorkerPreferences) async throws -> Void
    var finish: @Sendable () -> Void
    var move: @Sendable (String) async throws(RequestFailure) -> Void
    var rename: @Sendable (String) async throws(RequestFailure) -> Void
    /// Messages after a number, at most so many.
    var logs: @Sendable (Int, Int) -> LogDocument
    var account: Account
  }

  /// What goes on to the coordinator.
  struct Account: Sendable {
    var show: @Sendable () async throws(RequestFailure) -> OwnAccount
    var change: @Sendable (OwnAccountChange) async throws(RequestFailure) -> OwnAccount
    var makeKey: @Sendable () async throws(RequestFailure) -> AccountKeyNote
    var revokeKeys: @Sendable () async throws(RequestFailure) -> RevokedAccountKeys
  }

  let path: String
  let handlers: Handlers
  let clock: WorkerClock
  let logger: Logger

  /// Serves until its task is cancelled. A worker goes on without its socket, since it does not
  /// need it.
  func run() async {
    guard path.utf8.count <= ControlSocket.longestPath else {
      logger.warning("no control socket: the path is too long", metadata: ["path": "\(path)"])
      return
    }
    // Left by a worker that was killed; the folder's lock says that none runs.
    try? FileManager.default.removeItem(atPath: path)
    var quiet = logger
    quiet.logLevel = .warning
    let application = Application(
      router: router(),
      configuration: ApplicationConfiguration(address: .unixDomainSocket(path: path)),
      logger: quiet)
    do {
      try await Self.serve(application, quiet)
    } catch {
      logger.warning("the control socket ended", metadata: ["error": "\(error)"])
    }
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Cancellation becomes a graceful shutdown: a server that is cancelled while a connection
  /// arrives would trap in swift-nio. Detached, so that a worker which drains still answers.
  private static func serve(_ application: some Service, _ logger: Logger) async throws {
    let group = ServiceGroup(services: [application], logger: logger)
    let serving = Task.detached { try await group.run() }
    let end = End()
    let outcome = await withTaskCancellationHandler {
      let outcome = await serving.result
      end.hasCome.store(true, ordering: .relaxed)
      return outcome
    } onCancel: {
      Task.detached {
        // A group that has not begun to run yet takes no notice.
        while !end.hasCome.load(ordering: .relaxed) {
          await group.triggerGracefulShutdown()
          try? await Task.sleep(for: .milliseconds(10))
        }
      }
    }
    try outcome.get()
  }

  private func router() -> Router<BasicRequestContext> {
    let router = Router()
    router.get("/status") { _, _ in try Self.json(await handlers.status()) }
    router.post("/pause") { request, context in
      let seconds = try await request.decode(as: PauseRequest.self, context: context).seconds
      if let seconds, !(1...PauseRequest.longest).contains(seconds) {
        throw HTTPError(.badRequest, message: "a pause takes 1 to \(PauseRequest.longest) seconds")
      }
      let until = seconds.map { clock.now() + .seconds($0) }
      return try await answered { try await handlers.order(.pause(until: until)) }
    }
    router.post("/resume") { _, _ in try await answered { try await handlers.order(.none) } }
    router.post("/always") { _, _ in try await answered { try await handlers.order(.always) } }
    router.post("/finish") { _, _ in try await answered { handlers.finish() } }
    router.post("/move") { request, context in
      let url = try await request.decode(as: MoveRequest.self, context: context).url
      return try await Self.asked { () async throws(RequestFailure) -> StatusDocument in
        try await handlers.move(url)
        return await handlers.status()
      }
    }
    router.post("/name") { request, context in
      let name = try await request.decode(as: NameRequest.self, context: context).name
      return try await Self.asked { () async throws(RequestFailure) -> StatusDocument in
        try await handlers.rename(name)
        return await handlers.status()
      }
    }
    router.get("/logs") { request, _ in
      let query = request.uri.queryParameters
      return try Self.json(
        handlers.logs(
          query.get("after", as: Int.self) ?? 0, query.get("limit", as: Int.self) ?? .max))
    }
    router.get("/preferences") { _, _ in try Self.json(await handlers.preferences()) }
    router.put("/preferences") { request, _ in
      let body = try await request.body.collect(upTo: 1 << 16)
      return try await answered {
        try await handlers.replacePreferences(
          JSONDecoder().decode(WorkerPreferences.self, from: Data(buffer: body)))
      }
    }
    addAccount(to: router)
    return router
  }

  private func addAccount(to router: Router<BasicRequestContext>) {
    let account = handlers.account
    router.get("/account") { _, _ in try await Self.asked(account.show) }
    router.post("/account") { request, context in
      let change = try await request.decode(as: OwnAccountChange.self, context: context)
      return try await Self.asked { () throws(RequestFailure) in try await account.change(change) }
    }
    router.post("/account/key") { _, _ in try await Self.asked(account.makeKey) }
    router.delete("/account/key") { _, _ in try await Self.asked(account.revokeKeys) }
  }

  /// What the coordinator answered, or why there is no answer.
  private static func asked(
    _ question: () async throws(RequestFailure) -> some Encodable
  ) async throws -> Response {
    do {
      return try json(await question())
    } catch let failure as RequestFailure {
      switch failure {
      case .refused(404, code: "unknown_url", _):
        throw HTTPError(
          .badGateway, message: "the coordinator's program is older and knows no such question")
      case .refused(400, _, let message): throw HTTPError(.badRequest, message: message)
      default: throw HTTPError(.badGateway, message: "\(failure)")
      }
    }
  }

  /// The status after something was done; what is wrong with the order as 400.
  private func answered(_ work: () async throws -> Void) async throws -> Response {
    do {
      try await work()
    } catch let error as PreferenceError {
      throw HTTPError(.badRequest, message: "\(error)")
    } catch let error as DecodingError {
      throw HTTPError(.badRequest, message: "\(error)")
    } catch {
      throw HTTPError(.internalServerError, message: "\(error)")
    }
    return try Self.json(await handlers.status())
  }

  private static func json(_ value: some Encodable) throws -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: try encoder.encode(value))))
  }
}

/// Whether serving has ended, for who waits for that.
private final class End: Sendable {
  let hasCome = Atomic(false)
}

/// The body of `POST /move`: the coordinator's other address.
struct MoveRequest: Codable, Sendable {
  var url: String
}

/// The body of `POST /name`: what statistics are to call this machine.
struct NameRequest: Codable, Sendable {
  var name: String
}

/// The body of `POST /pause`.
package struct PauseRequest: Codable, Sendable {
  /// Nil: until further notice.
  package var seconds: Int?

  /// A year.
  static let longest = 365 * 86400

  package init(seconds: Int?) { self.seconds = seconds }
}
