extension ModelDescription {
  /// The version of a manifest that carries the description: 1 for what the first programs compute,
  /// so that their manifests stay as they are; 2 for what others came to know; 3 where there are
  /// tiled value heads, or blocks of scales that begin anew. A program refuses a version that it
  /// does not know instead of passing over what it means.
  package var manifestVersion: Int {
    isOfFirstVersion ? 1 : layers.contains(where: \.isOfThirdVersion) ? 3 : 2
  }

  private var isOfFirstVersion: Bool {
    logitCap == nil && embedding.multiplier == nil && embedding.perLayer == nil
      && finalNorm.isOfFirstVersion && output.isOfFirstVersion
      && ropes.allSatisfy(\.isOfFirstVersion) && layers.allSatisfy(\.isOfFirstVersion)
  }
}

extension ModelDescription.Norm {
  fileprivate var isOfFirstVersion: Bool { weight != nil && offset == nil && scale == nil }
}

extension ModelDescription.Linear {
  fileprivate var isOfFirstVersion: Bool { rows == nil && scales == nil && scalesPeriod == nil }
}

extension ModelDescription.Rope {
  fileprivate var isOfFirstVersion: Bool {
    guard attentionFactor == nil, dimensions % 2 == 0 else { return false }
    switch scaling {
    case .none, .linear, .llama3, .tensor: return true
    case .yarn, .proportional: return false
    }
  }
}

extension ModelDescription.Layer {
  fileprivate var isOfFirstVersion: Bool {
    guard let mixerNorm, let feedForwardNorm, mixerOutputNorm == nil,
      feedForwardOutputNorm == nil, perLayerInput == nil, scalar == nil,
      case .attention(let attention) = mixer, case .gated(let gated) = feedForward
    else { return false }
    return mixerNorm.isOfFirstVersion && feedForwardNorm.isOfFirstVersion
      && attention.isOfFirstVersion && gated.activation != .gelu
      && gated.linears.allSatisfy(\.isOfFirstVersion)
  }
}

extension ModelDescription.Layer {
  fileprivate var isOfThirdVersion: Bool {
    if linears.contains(where: { $0.scalesPeriod != nil }) { return true }
    guard case .linear(let linear) = mixer else { return false }
    return linear.areValueHeadsTiled == true
  }
}

extension ModelDescription.Attention {
  fileprivate var isOfFirstVersion: Bool {
    cap == nil && sinks == nil && queryGrowth == nil && valueNorm == nil && valueScale == nil
      && sharedLayer == nil && gate == nil && key != nil && value != nil
      && [queryNorm, keyNorm].allSatisfy { $0?.isOfFirstVersion ?? true }
      && linears.allSatisfy(\.isOfFirstVersion)
  }
}
