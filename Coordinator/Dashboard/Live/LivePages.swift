import CoordinatorAPI
import Foundation
import HTTPTypes
import Hummingbird
import ServiceLifecycle
import Synchronization

/// Sends the main part of pages to those who watch them, whenever it changes, and keeps what those
/// see who only load a page.
///
/// However many look at a page, it is made once an interval at most. All watched pages together
/// take `share` of one processor at most: the more of them there are, the longer each stays as it
/// is.
package final class LivePages: Sendable {
  /// How often a watched page is looked at.
  let interval: Duration
  /// How often something is sent though nothing changed, so that nobody on the way gives the
  /// connection up.
  let silence: Duration
  /// Streams at once; who comes later has a page that does not change.
  let limit: Int
  /// Watched pages of one address (of IPv6, one network of 64 bits), at most.
  let limitPerAddress: Int

  /// The part of a processor's time that making watched pages again may take.
  private static let share = 0.1

  /// A page's main part, and the event that says so.
  fileprivate struct Main: Sendable {
    let text: String
    let event: String
  }
  private struct State {
    var streams = 0
    var streamsOf: [ClientNetwork: Int] = [:]
    /// What making a page took last.
    var cost = Duration.zero
    /// When the next page may be made again.
    var turn = ContinuousClock.now
  }

  private let state = Mutex(State())
  private let mains: ShortCache<Main>
  private let wholes: ShortCache<String>

  package init(
    interval: Duration = .seconds(2), silence: Duration = .seconds(15), limit: Int = 500,
    limitPerAddress: Int = 50
  ) {
    self.interval = interval
    self.silence = silence
    self.limit = limit
    self.limitPerAddress = limitPerAddress
    mains = ShortCache(interval: interval)
    wholes = ShortCache(interval: interval)
  }

  /// A whole page, made now or within the last interval.
  func whole(
    key: String, _ make: @escaping @Sendable () async throws -> String
  ) async throws -> String {
    try await wholes.value(for: key, make)
  }

  /// An event stream of a page's main part, until the client goes away or the server ends.
  ///
  /// - Parameters:
  ///   - key: equal for requests that are shown the same.
  ///   - network: where the client is.
  ///   - make: the main part as it is now.
  /// - Throws: `APIError` 503 when too many watch; what `make` throws at first.
  package func stream(
    key: String, from network: ClientNetwork, _ make: @escaping @Sendable () async throws -> String
  ) async throws -> Response {
    guard let place = Place(network, in: self) else {
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
        defer { withExtendedLifetime(place) {} }
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

  /// The page as it was made within the last interval, or made now.
  fileprivate func current(
    _ key: String, _ make: @escaping @Sendable () async throws -> String
  ) async throws -> Main {
    try await mains.value(for: key) { [self] in
      let began = ContinuousClock.now
      let text = try await make()
      state.withLock { $0.cost = .now - began }
      // As JSON, since an event's data may hold no line end.
      let data = String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
      return Main(text: text, event: "event: main\ndata: \(data)\n\n")
    }
  }

  /// The same for who has seen the page, once it is its turn to be made again.
  fileprivate func next(
    _ key: String, _ make: @escaping @Sendable () async throws -> String
  ) async throws -> Main {
    if !mains.has(key) {
      let turn = state.withLock { state in
        let turn = max(state.turn, .now)
        state.turn = turn + state.cost / Self.share
        return turn
      }
      try await Task.sleep(until: turn)
    }
    return try await current(key, make)
  }

  /// One stream of those that there may be, as long as it exists.
  private final class Place: Sendable {
    private let network: ClientNetwork
    private let pages: LivePages

    init?(_ network: ClientNetwork, in pages: LivePages) {
      let isFree = pages.state.withLock { state in
        guard state.streams < pages.limit,
          state.streamsOf[network, default: 0] < pages.limitPerAddress
        else { return false }
        state.streams += 1
        state.streamsOf[network, default: 0] += 1
        return true
      }
      guard isFree else { return nil }
      (self.network, self.pages) = (network, pages)
    }

    deinit {
      pages.state.withLock { state in
        state.streams -= 1
        let left = state.streamsOf[network, default: 0] - 1
        state.streamsOf[network] = left > 0 ? left : nil
      }
    }
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
    if isFirst {
      isFirst = false
      guard let main = try? await pages.current(key, make) else { return nil }
      sent = main.text
      // The page that was loaded a moment ago is the first one: the client compares.
      return "retry: 3000\n" + main.event
    }
    let began = ContinuousClock.now
    while true {
      guard (try? await Task.sleep(for: pages.interval)) != nil,
        let main = try? await pages.next(key, make)
      else { return nil }
      if main.text != sent {
        sent = main.text
        return main.event
      }
      if ContinuousClock.now - began > pages.silence { return ": still here\n\n" }
    }
  }
}
