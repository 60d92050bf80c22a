import ModelFormats

extension ConfigObject {
  /// Refuses settings that are not understood: they might change what a model computes.
  ///
  /// - Parameter known: settings that are understood or cannot change anything; a null is none.
  /// - Throws: `FormatError` with code `unsupported` naming the first by name.
  func refuseUnknown(_ known: Set<String>) throws {
    if let key = members.keys.filter({ !known.contains($0) }).sorted().first {
      throw error(.unsupported, key, "is a setting that is not understood")
    }
  }
}

/// Settings in `config.json` by what they concern.
enum HuggingFaceKeys {
  /// What does not change logits: names, training, generation, where and how to run.
  static let inert: Set<String> = [
    "_name_or_path", "_attn_implementation", "_attn_implementation_autoset",
    "_experts_implementation", "_commit_hash", "_sliding_window_pattern", "architectures",
    "attention_dropout", "auto_map", "aux_loss_alpha", "begin_suppress_tokens", "bos_token_id",
    "chunk_size_feed_forward", "classifier_dropout", "cross_attention_hidden_size",
    "decoder_start_token_id", "dtype", "embd_pdrop", "eos_token_id", "ep_size",
    "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "hidden_dropout",
    "id2label", "initializer_range", "is_decoder", "is_encoder_decoder", "is_llama_config",
    "label2id", "license",
    "license_link", "license_name",
    "max_length", "model_type", "num_labels", "num_mtp_layers",
    "num_nextn_predict_layers", "output_attentions", "output_hidden_states",
    "output_router_logits", "pad_token_id", "prefix", "pretraining_tp", "problem_type",
    "pruned_heads", "quantization_config", "resid_pdrop", "return_dict", "return_dict_in_generate",
    "router_aux_loss_coef", "router_jitter_noise", "sep_token_id", "seq_aux",
    "suppress_tokens", "task_specific_params", "tf_legacy_loss", "tie_encoder_decoder",
    "tokenizer_class", "torch_dtype", "torchscript", "transformers.js_config",
    "transformers_version", "unsloth_fixed", "unsloth_version", "use_bfloat16", "use_cache",
    "use_mrope", "use_mtp", "use_return_dict",
    "mtp_num_hidden_layers", "mtp_use_dedicated_embeddings", "attn_implementation",
  ]

  /// What every decoder has.
  static let decoder: Set<String> = [
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "hidden_act",
    "tie_word_embeddings", "rope_parameters", "rope_scaling", "rope_theta",
    "partial_rotary_factor", "original_max_position_embeddings", "attention_bias",
  ]

  /// At the top of a model of text and other things, which are left out.
  static let otherThings: Set<String> = [
    "text_config", "vision_config", "audio_config", "image_token_id", "image_token_index",
    "video_token_id", "audio_token_id", "vision_start_token_id", "vision_end_token_id",
    "boi_token_id", "boi_token_index", "eoi_token_id", "eoi_token_index", "boa_token_id",
    "eoa_token_id", "eoa_token_index", "mm_tokens_per_image", "multimodal_projector_bias",
    "projector_hidden_act", "spatial_merge_size", "vision_feature_layer",
    "vision_soft_tokens_per_image", "tie_word_embeddings", "language_model_only",
  ]
}
