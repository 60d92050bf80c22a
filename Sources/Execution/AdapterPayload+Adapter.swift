import ModelFormats
import Models
import WirePayloads

extension Adapter {
  /// - Throws: `PayloadError` for a matrix that no adapter is known of.
  package init(_ payload: AdapterPayload) throws {
    self.init(
      alpha: payload.alpha, isRankStabilised: payload.isRankStabilised,
      pairs: try Self.pairs(payload.pairs))
  }

  private static func pairs(
    _ pairs: [AdapterPayload.Site: AdapterPayload.Pair]
  ) throws -> [LinearSite: Pair] {
    try pairs.reduce(into: [:]) { result, entry in
      guard let kind = LinearKind(rawValue: entry.key.kind) else {
        throw PayloadError(
          "adapter", tensor: "layers.\(entry.key.layer).\(entry.key.kind)",
          reason: "no adapter of such a matrix is known")
      }
      let pair = entry.value
      result[LinearSite(layer: entry.key.layer, kind: kind)] = Pair(
        rank: pair.rank, inputs: pair.inputs, outputs: pair.outputs, a: pair.a, b: pair.b)
    }
  }
}

extension AdapterPayload {
  /// The adapter as it travels.
  package init(_ adapter: Adapter) {
    self.init(
      alpha: adapter.alpha, isRankStabilised: adapter.isRankStabilised,
      pairs: adapter.pairs.reduce(into: [:]) { result, entry in
        let pair = entry.value
        result[Site(layer: entry.key.layer, kind: entry.key.kind.rawValue)] = Pair(
          rank: pair.rank, inputs: pair.inputs, outputs: pair.outputs, a: pair.a, b: pair.b)
      })
  }
}
