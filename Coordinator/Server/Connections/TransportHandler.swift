import NIOCore

/// Stands where the socket is, before TLS: what is closed from here waits for nothing that the
/// client says. Closed from behind TLS, a connection goes on for seconds in which everything is
/// read until the client agrees to the end.
package final class TransportHandler: ChannelOutboundHandler {
  package typealias OutboundIn = NIOAny

  package init() {}

  /// Ends the connection of `context` at once.
  static func cut(_ context: ChannelHandlerContext) {
    let transport = try? context.pipeline.syncOperations.context(handlerType: Self.self)
    (transport ?? context).close(promise: nil)
  }
}
