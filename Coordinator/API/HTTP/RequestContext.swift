import Hummingbird
import Logging
import NIOCore

/// What a request carries through middleware to its handler.
package struct CoordinatorRequestContext: RequestContext {
  package var coreContext: CoreRequestContextStorage
  /// The connection, whose TLS handler knows the peer's certificate.
  package let channel: any Channel
  /// Names the request in the answer, the log and output files: `req_` and 24 letters or digits.
  package var requestID: String

  package init(source: ApplicationRequestContextSource) {
    self.coreContext = .init(source: source)
    self.channel = source.channel
    self.requestID = "req_" + RandomName.suffix()
  }

  /// Control messages are small; uploads are streamed and have limits of their own.
  package var maxUploadSize: Int { 1 << 20 }
}

/// Random parts of identifiers.
package enum RandomName {
  private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)

  /// 24 of `a-z0-9` (124 bits).
  package static func suffix() -> String {
    var generator = SystemRandomNumberGenerator()
    return suffix(using: &generator)
  }

  /// 24 of `a-z0-9` drawn from `generator`.
  package static func suffix(using generator: inout some RandomNumberGenerator) -> String {
    let bytes = (0..<24).map { _ in letters[Int.random(in: 0..<36, using: &generator)] }
    return String(decoding: bytes, as: UTF8.self)
  }
}
