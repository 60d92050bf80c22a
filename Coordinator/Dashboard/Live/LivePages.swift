import CoordinatorAPI
import Foundation
import HTTPTypes
import Hummingbird
import ServiceLifecycle
import Synchronization

/// Sends the main part of pages to those who watch them, whenever it changes.
///
/// However many watch a page, it is made once an interval at most.
package final class LivePages: Sendable {
  /// How often a watched page is looked at.
  let interval: Duration
  /// How often something is sent though nothing changed, so that nobody on the way gives the connection
  /// up.
  let silence: Duration
  /// Streams at once; who comes later has a page that does not change.
  let limit: Int

  private struct Made {
    var at: ContinuousClock.Instant
    var task: Task<String, any Error>
  }

  private struct State {
    var streams = 0
    var made: [String: Made] = [:]
  }

  private let state = Mutex(State())

  package init(
    interval: Duration = .seconds(2), silence: Duration = .seconds(15), limit: Int = 500
  ) {
    self.interval = interval
    self.silence = silence
    self.limit = limit
  }

  /// An event stream of a page's main part, until the client goes away or the server ends.
  ///
  /// - Parameters:
  ///   - key: equal for requests that are shown the same.
  ///   - make: the main part as it is now.
  /// - Throws: `APIError` 503 when too many watch; what `make` throws at first.
  func stream(
    key: String, _ make: @escaping @Sendable () async throws -> String
  ) async throws -> Response {
    guard state.withLock({ $0.streams < limit }) else {
      throw APIError.unavailable("Too many watch already; load the page again now and then.")
    }
    // Who may not see the page is told before a stream begins; the first event is this same one.
    _ = try await current(key, make)
    var headers = PageResponder.headers("text/event-stream")
    // A proxy in front must not wait for the end of what has none.
    headers[HTTPField.Name("x-accel-buffering")!] = "no"
    return Response(
      status: .ok, headers: headers,
      body: ResponseBody { [self] writer in
        state.withLock { $0.streams += 1 }
        defer { state.withLock { $0.streams -= 1 } }
        var output = writer
        // Nothing is awaited beside the writes, so that a client that went away ends the stream.
        let sequence = events(key: key, make).cancelOnGracefulShutdown()
        for await event in sequence {
          try await output.write(ByteBuffer(string: event))
        }
        try await output.finish(nil)
      })
  }

  /// The events to write: a page that changed, or a comment after a silence. It ends when the page
  /// cannot be made any more, or the task is cancelled.
  package func events(
    key: String, _ make: @escaping @Sendable () async throws -> String
  ) -> AsyncStream<String> {
    let changes = Changes(pages: self, key: key, make: make)
    return AsyncStream { await changes.next() }
  }

  /// The page as it was made in the last two seconds, or made now.
  fileprivate func current(
    _ key: String, _ make: @escaping @Sendable () async throws -> String
  ) async throws -> String {
    let task = state.withLock { state in
      let now = ContinuousClock.now
      state.made = state.made.filter { now - $0.value.at < interval }
      if let made = state.made[key] { return made.task }
      let task = Task { try await make() }
      state.made[key] = Made(at: now, task: task)
      return task
    }
    return try await task.value
  }
}

/// What one watcher has seen of a page.
private actor Changes {
  private let pages: LivePages
  private let key: String
  private let make: @Sendable () async throws -> String
  private var sent: String?
  private var isFirst = true

  init(pages: LivePages, key: String, make: @escaping @Sendable () async throws -> String) {
    self.pages = pages
    self.key = key
    self.make = make
  }

  /// Nil when the stream is to end: it was cancelled, or the page is no more.
  func next() async -> String? {
    let began = ContinuousClock.now
    while true {
      if !isFirst {
        guard (try? await Task.sleep(for: pages.interval)) != nil else { return nil }
      }
      guard let main = try? await pages.current(key, make) else { return nil }
      let hasChanged = main != sent
      defer { isFirst = false }
      if hasChanged {
        sent = main
        guard let event = Self.event(main) else { return nil }
        // The page that was loaded a moment ago is the first one: the client compares.
        return isFirst ? "retry: 3000\n" + event : event
      }
      if ContinuousClock.now - began > pages.silence { return ": still here\n\n" }
    }
  }

  /// As JSON, since an event's data may hold no line end.
  private static func event(_ main: String) -> String? {
    guard let data = try? JSONEncoder().encode(main) else { return nil }
    return "event: main\ndata: \(String(decoding: data, as: UTF8.self))\n\n"
  }
}
