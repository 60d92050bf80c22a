extension ModelDescription {
  /// What works on each position alone.
  package enum FeedForward: Codable, Hashable, Sendable {
    case gated(GatedFeedForward)
    case experts(Experts)
    case both(GatedAndExperts)
  }

  /// down(activation(gate(x)) * up(x)).
  package struct GatedFeedForward: Codable, Hashable, Sendable {
    /// What is applied to the gate.
    package var activation: Activation
    /// [F, D].
    package var gate: Linear
    /// [F, D].
    package var up: Linear
    /// [D, F].
    package var down: Linear

    package init(activation: Activation, gate: Linear, up: Linear, down: Linear) {
      self.activation = activation
      self.gate = gate
      self.up = up
      self.down = down
    }
  }

  /// A mixture of experts: of `count` gated feed-forwards, the `chosen` whose scores are greatest,
  /// each times its weight, and one that every token goes through.
  package struct Experts: Codable, Hashable, Sendable {
    package var count: Int
    /// Experts that a token goes through.
    package var chosen: Int
    /// How experts are scored and chosen.
    package var routing: Routing
    /// [count, D].
    package var router: Linear
    /// What is applied to the gates.
    package var activation: Activation
    /// Each [F, D].
    package var gate: MatrixStack
    /// Each [F, D].
    package var up: MatrixStack
    /// Each [D, F].
    package var down: MatrixStack
    /// For every token.
    package var shared: GatedFeedForward?
    /// [1, D]: its sigmoid multiplies what `shared` gives; nil: nothing does.
    package var sharedGate: Linear?

    package init(
      count: Int, chosen: Int, routing: Routing, router: Linear, activation: Activation,
      gate: MatrixStack, up: MatrixStack, down: MatrixStack, shared: GatedFeedForward? = nil,
      sharedGate: Linear? = nil
    ) {
      self.count = count
      self.chosen = chosen
      self.routing = routing
      self.router = router
      self.activation = activation
      self.gate = gate
      self.up = up
      self.down = down
      self.shared = shared
      self.sharedGate = sharedGate
    }
  }

  /// From the router's logits to experts and their weights. Ties go to the lower index.
  package struct Routing: Codable, Hashable, Sendable {
    /// What turns logits into scores.
    package enum Scoring: String, Codable, Hashable, Sendable {
      case softmax, sigmoid
    }

    /// Only experts of some groups may be chosen. Groups are neighbours, all of one size.
    package struct Groups: Codable, Hashable, Sendable {
      /// What a group is chosen by.
      package enum Measure: String, Codable, Hashable, Sendable {
        /// Its greatest score.
        case greatest
        /// The sum of its two greatest.
        case greatestTwo
      }

      package var count: Int
      package var chosen: Int
      package var measure: Measure

      package init(count: Int, chosen: Int, measure: Measure) {
        self.count = count
        self.chosen = chosen
        self.measure = measure
      }
    }

    package var scoring: Scoring
    /// A tensor of numbers that are added to the scores by which experts are chosen, not to the
    /// weights; nil: none.
    package var correction: String?
    /// nil: all experts are in one group.
    package var groups: Groups?
    /// Whether weights are divided by their sum.
    package var isNormalised: Bool
    /// Added to that sum; nil: 0.
    package var normalisationEpsilon: Double?
    /// Multiplies weights at the end; nil: 1.
    package var scale: Double?
    /// A tensor of numbers, one for each expert, that multiply weights; nil: none.
    package var expertScales: String?

    package init(
      scoring: Scoring, correction: String? = nil, groups: Groups? = nil, isNormalised: Bool,
      normalisationEpsilon: Double? = nil, scale: Double? = nil, expertScales: String? = nil
    ) {
      self.scoring = scoring
      self.correction = correction
      self.groups = groups
      self.isNormalised = isNormalised
      self.normalisationEpsilon = normalisationEpsilon
      self.scale = scale
      self.expertScales = expertScales
    }
  }

  /// A gated feed-forward and experts beside it, each with norms of its own (Gemma 4):
  /// gatedOutputNorm(gated(layer's norm(x))) + expertsOutputNorm(experts(expertsNorm(x))), where
  /// the router sees routerNorm(x).
  package struct GatedAndExperts: Codable, Hashable, Sendable {
    package var gated: GatedFeedForward
    package var gatedOutputNorm: Norm
    package var routerNorm: Norm
    package var expertsNorm: Norm
    package var experts: Experts
    package var expertsOutputNorm: Norm

    package init(
      gated: GatedFeedForward, gatedOutputNorm: Norm, routerNorm: Norm, expertsNorm: Norm,
      experts: Experts, expertsOutputNorm: Norm
    ) {
      self.gated = gated
      self.gatedOutputNorm = gatedOutputNorm
      self.routerNorm = routerNorm
      self.expertsNorm = expertsNorm
      self.experts = experts
      self.expertsOutputNorm = expertsOutputNorm
    }
  }
}
