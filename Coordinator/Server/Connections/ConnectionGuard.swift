import CoordinatorAPI
import NIOCore
import NIOHTTP1

/// Keeps one connection within its limits.
///
/// - A request has to arrive in time (`RequestArrival`), and its answer has to be taken.
/// - When a request is answered before all of it came, the connection ends after the answer; a
///   little of the rest is read and dropped, so that the client is not reset before it sees the
///   answer; who sends more is cut off.
/// - A request without `Host` is refused (RFC 9112, section 3.2).
/// - Of one address, only so many connections are served.
final class ConnectionGuard: ChannelDuplexHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private enum State {
    case serving
    /// The answer that is being written is the last.
    case ending
    /// The last answer is written; what still comes is dropped.
    case ended(droppedBytes: Int)
  }

  private let limits: ConnectionLimits
  private let counts: ConnectionCounts
  private var state = State.serving
  /// The request that has not arrived entirely.
  private var arrival: RequestArrival?
  /// Requests that began to arrive and whose answers are not written.
  private var unanswered = 0
  private var arrivalCheck: Scheduled<Void>?
  private var progress = WriteProgress()
  private var progressCheck: Scheduled<Void>?

  init(limits: ConnectionLimits, counts: ConnectionCounts) {
    self.limits = limits
    self.counts = counts
  }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { admit(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    admit(context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    cancelChecks()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { cancelChecks() }

  private func cancelChecks() {
    arrivalCheck?.cancel()
    progressCheck?.cancel()
    (arrivalCheck, progressCheck) = (nil, nil)
  }

  private func admit(_ context: ChannelHandlerContext) {
    let network = ClientNetwork(context.channel.remoteAddress)
    guard counts.add(network, limit: limits.connectionsPerAddress) else {
      return context.close(promise: nil)
    }
    context.channel.closeFuture.whenComplete { [counts] _ in counts.remove(network) }
  }

  // MARK: What comes

  func read(context: ChannelHandlerContext) {
    if arrival != nil {
      arrival?.wait(from: context.eventLoop.now)
      checkArrival(context)
    }
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    switch state {
    case .ended(let dropped):
      switch part {
      case .body(let buffer) where dropped + buffer.readableBytes <= ConnectionLimits.lateBytes:
        state = .ended(droppedBytes: dropped + buffer.readableBytes)
      case .body: TransportHandler.cut(context)
      case .head, .end: context.close(promise: nil)
      }
      return
    case .serving, .ending: break
    }
    switch part {
    case .head(let head):
      unanswered += 1
      guard head.hasHost else { return refuse(head, context) }
      arrival = RequestArrival(
        announcedBytes: head.headers.first(name: "content-length").flatMap { Int($0) }
          ?? (head.headers.contains(name: "transfer-encoding") ? nil : 0),
        limits: limits)
    case .body(let buffer): arrival?.take(buffer.readableBytes, at: context.eventLoop.now)
    case .end: arrival = nil
    }
    context.fireChannelRead(data)
  }

  /// Answers a request that no handler shall see.
  private func refuse(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    // Answers to earlier requests come first; without them the connection just ends.
    guard unanswered == 1 else { return context.close(promise: nil) }
    let headers: HTTPHeaders = ["connection": "close", "content-length": "0"]
    let answer = HTTPResponseHead(version: head.version, status: .badRequest, headers: headers)
    context.write(wrapOutboundOut(.head(answer)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    state = .ended(droppedBytes: 0)
    context.close(promise: nil)
  }

  private func checkArrival(_ context: ChannelHandlerContext) {
    guard arrivalCheck == nil, let arrival else { return }
    let left = max(.milliseconds(100), arrival.left(at: context.eventLoop.now))
    arrivalCheck = context.eventLoop.assumeIsolated().scheduleTask(in: left) {
      self.arrivalCheck = nil
      guard let arrival = self.arrival else { return }
      if arrival.left(at: context.eventLoop.now) <= .zero {
        context.close(promise: nil)
      } else {
        self.checkArrival(context)
      }
    }
  }

  // MARK: What goes

  func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    let written = promise ?? context.eventLoop.makePromise()
    progress.began()
    written.futureResult.assumeIsolated().whenComplete { _ in self.progress.ended() }
    checkProgress(context)
    switch unwrapOutboundIn(data) {
    case .head(var head):
      // An answer to a request of which not even the head came is the HTTP library's last word.
      if unanswered == 1, let arrival, !arrival.endsSoon {
        state = .ending
        head.headers.replaceOrAdd(name: "connection", value: "close")
      }
      context.write(wrapOutboundOut(.head(head)), promise: written)
    case .body: context.write(data, promise: written)
    case .end:
      unanswered = max(0, unanswered - 1)
      guard case .ending = state else { return context.write(data, promise: written) }
      context.writeAndFlush(data, promise: written)
      end(context)
    }
  }

  /// The last answer is written: the connection ends as soon as the request does, and soon anyway.
  private func end(_ context: ChannelHandlerContext) {
    guard arrival != nil else { return context.close(promise: nil) }
    state = .ended(droppedBytes: 0)
    context.eventLoop.assumeIsolated().scheduleTask(
      in: .seconds(Int64(ConnectionLimits.lateSeconds))
    ) { context.close(promise: nil) }
  }

  private func checkProgress(_ context: ChannelHandlerContext) {
    guard progressCheck == nil else { return }
    _ = progress.hasStalled(buffered: context.bufferedBytes)
    progressCheck = context.eventLoop.assumeIsolated().scheduleTask(
      in: .seconds(Int64(limits.stalledSeconds))
    ) {
      self.progressCheck = nil
      if self.progress.hasStalled(buffered: context.bufferedBytes) {
        context.close(mode: .all, promise: nil)
      } else if self.progress.isPending {
        self.checkProgress(context)
      }
    }
  }
}

extension ConnectionLimits {
  /// What keeps one connection within these limits; it comes right behind the decoder of HTTP/1.1.
  package func makeGuard(_ counts: ConnectionCounts) -> any ChannelDuplexHandler {
    ConnectionGuard(limits: self, counts: counts)
  }
}

/// Whether the client takes what is written to it.
private struct WriteProgress {
  private var pending = 0
  private var completions = 0
  private var seen = (completions: 0, buffered: Int.max)

  var isPending: Bool { pending > 0 }

  mutating func began() { pending += 1 }

  mutating func ended() {
    pending -= 1
    completions += 1
  }

  /// Whether something is pending and nothing at all moved since the last call.
  mutating func hasStalled(buffered: Int) -> Bool {
    defer { seen = (completions, buffered) }
    return isPending && completions == seen.completions && buffered >= seen.buffered
  }
}

extension HTTPRequestHead {
  /// Whether it names the host exactly once; HTTP/1.0 may leave it out.
  fileprivate var hasHost: Bool {
    let hosts = headers["host"].count
    return hosts == 1 || (hosts == 0 && (version.major, version.minor) < (1, 1))
  }
}

extension ChannelHandlerContext {
  /// Bytes that were written and that the system has not taken.
  fileprivate var bufferedBytes: Int {
    (try? channel.syncOptions?.getOption(ChannelOptions.bufferedWritableBytes)) ?? 0
  }
}
