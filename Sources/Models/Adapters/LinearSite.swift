/// The matrices of a layer that may carry an adapter, spelt as PEFT and transformers do.
package enum LinearKind: String, CaseIterable, Codable, Hashable, Sendable {
  case query = "q_proj"
  case key = "k_proj"
  case value = "v_proj"
  case output = "o_proj"
  case gate = "gate_proj"
  case up = "up_proj"
  case down = "down_proj"

  /// The module of a layer that it belongs to.
  package var module: String {
    switch self {
    case .query, .key, .value, .output: "self_attn"
    case .gate, .up, .down: "mlp"
    }
  }
}

/// A matrix of a model that may carry an adapter.
package struct LinearSite: Hashable, Sendable, Comparable {
  /// From 0.
  package var layer: Int
  package var kind: LinearKind

  package init(layer: Int, kind: LinearKind) {
    (self.layer, self.kind) = (layer, kind)
  }

  /// Layer by layer, in the order of `LinearKind`: the order in which sums over all parameters run.
  package static func < (left: LinearSite, right: LinearSite) -> Bool {
    (left.layer, left.kind.place) < (right.layer, right.kind.place)
  }
}

extension LinearKind {
  fileprivate var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
