"""Quality beside cost on judged collections."""
